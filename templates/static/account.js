// What the pages do beyond plain HTML. Everything works without it, and nothing that is typed
// leaves the browser before the form is sent.
(function () {
  "use strict";

  theme(document.getElementById("theme"));
  document.querySelectorAll(".peek").forEach(peek);
  document.querySelectorAll("form").forEach(sentOnce);
  document.querySelectorAll("[aria-invalid]").forEach(mended);
  document.querySelectorAll("form[data-check]").forEach(check);
  document.querySelectorAll("details.menu").forEach(menu);

  // light → dark → system
  function theme(button) {
    if (!button) return;
    var root = document.documentElement;
    var label = function () {
      var text = button.dataset[root.dataset.theme || "system"];
      button.setAttribute("aria-label", text);
      button.title = text;
    };
    button.addEventListener("click", function () {
      var next = { light: "dark", dark: "", "": "light" }[root.dataset.theme || ""];
      if (next) root.dataset.theme = next;
      else delete root.dataset.theme;
      try {
        if (next) localStorage.setItem("passgate-theme", next);
        else localStorage.removeItem("passgate-theme");
      } catch (_) {
        // No storage: the choice lasts for this page.
      }
      label();
    });
    label();
    button.hidden = false;
  }

  function peek(button) {
    var field = document.getElementById(button.getAttribute("aria-controls"));
    var isPin = field.classList.contains("pin");
    var seen = false;
    var draw = function () {
      if (isPin) field.classList.toggle("seen", seen);
      else field.type = seen ? "text" : "password";
      var word = seen ? button.dataset.hide : button.dataset.show;
      button.textContent = word;
      button.setAttribute("aria-label", word + ": " + button.dataset.of);
      button.setAttribute("aria-pressed", String(seen));
    };
    button.addEventListener("click", function () {
      seen = !seen;
      draw();
    });
    // Sent hidden, so that browsers recognise the password and keep no text of it.
    field.form.addEventListener("submit", function () {
      seen = false;
      draw();
    });
    draw();
    button.hidden = false;
  }

  function sentOnce(form) {
    form.addEventListener("submit", function (event) {
      if (form.getAttribute("aria-busy") === "true") event.preventDefault();
      else form.setAttribute("aria-busy", "true");
    });
    window.addEventListener("pageshow", function () {
      form.removeAttribute("aria-busy");
    });
  }

  // What is being mended is no longer called wrong.
  function mended(field) {
    field.addEventListener("input", function () { field.removeAttribute("aria-invalid"); });
  }

  function menu(details) {
    document.addEventListener("click", function (event) {
      if (!details.contains(event.target)) details.open = false;
    });
    details.addEventListener("keydown", function (event) {
      if (event.key === "Escape" && details.open) {
        details.open = false;
        details.querySelector("summary").focus();
      }
    });
  }

  // Ticks the rules off and shows the strength while a new password is typed.
  function check(form) {
    var field = form.elements.password;
    var again = form.elements.confirm;
    var meter = document.getElementById("strength");
    var list = form.querySelector(".rules ul");
    var match = document.getElementById("match");
    var tests = {
      length: function (text) { return Array.from(text.normalize("NFC")).length; },
      capitals: function (text) { return (text.match(/\p{Uppercase}/gu) || []).length; },
      digits: function (text) { return (text.match(/\p{N}/gu) || []).length; },
    };
    var words = meter.dataset.words.split(/[@.\-]/).concat(meter.dataset.words);
    var scores = meter.dataset.scores.split("|");
    var pause;

    var rules = function () {
      list.querySelectorAll("li").forEach(function (rule) {
        var test = tests[rule.dataset.rule];
        if (!test) return;
        var met = test(field.value) >= Number(rule.dataset.least);
        rule.classList.toggle("met", met);
        rule.lastElementChild.textContent =
          field.value ? " – " + (met ? list.dataset.met : list.dataset.unmet) : "";
      });
    };
    var strength = function () {
      var pins = Array.from(form.querySelectorAll(".pin"), function (pin) { return pin.value; });
      var score = scoreOf(field.value, words.concat(pins));
      meter.hidden = !field.value;
      meter.dataset.score = String(score);
      clearTimeout(pause);
      // Said when the typing pauses, not at every key.
      pause = setTimeout(function () {
        document.getElementById("score").textContent = field.value ? scores[score] : "";
      }, 250);
    };
    var same = function () {
      var differs = again.value !== "" && again.value !== field.value
        && !(document.activeElement === again && field.value.startsWith(again.value));
      match.textContent = differs ? match.dataset.differs : "";
    };
    field.addEventListener("input", function () { rules(); strength(); same(); });
    again.addEventListener("input", same);
    again.addEventListener("blur", same);
    rules();
  }

  // 0 (very weak) to 4 (strong): the guesses that a text takes, by what people make passwords of.
  function scoreOf(text, words) {
    var lower = text.toLowerCase();
    var rest = lower;
    words.forEach(function (word) {
      if (word.length > 2) rest = rest.split(word.toLowerCase()).join("\u0001");
    });
    ["password", "passwort", "welcome", "letmein", "admin", "login", "portal", "phone",
      "voicemail", "iloveyou", "monkey", "dragon", "summer", "winter", "spring", "autumn",
      "football", "master", "hello", "secret", "qwerty", "qwertz", "asdf", "zxcv", "test",
    ].forEach(function (word) { rest = rest.split(word).join("\u0001"); });
    rest = rest.replace(/(19|20)\d\d/g, "\u0001");
    // A run (aaa, 123, cba) is worth about one character.
    var length = 0;
    for (var i = 0; i < rest.length; i++) {
      var step = i > 0 ? rest.charCodeAt(i) - rest.charCodeAt(i - 1) : 9;
      var before = i > 1 ? rest.charCodeAt(i - 1) - rest.charCodeAt(i - 2) : 8;
      length += Math.abs(step) <= 1 && step === before ? 0.15 : rest[i] === "\u0001" ? 1.2 : 1;
    }
    var kinds = 0;
    if (/\p{Ll}/u.test(text)) kinds += 26;
    if (/\p{Lu}/u.test(text)) kinds += 26;
    if (/\p{N}/u.test(text)) kinds += 10;
    if (/[^\p{L}\p{N}]/u.test(text)) kinds += 33;
    var different = new Set(rest).size;
    var bits = Math.min(length, different * 2) * Math.log2(Math.max(kinds, 2));
    // A capital in front and digits behind is what everybody does.
    if (/^\p{Lu}\p{Ll}+\p{N}{1,4}[!.?]?$/u.test(text)) bits -= 12;
    return bits < 24 ? 0 : bits < 38 ? 1 : bits < 52 ? 2 : bits < 68 ? 3 : 4;
  }
})();
