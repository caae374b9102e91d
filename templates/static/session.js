// Shortly before a session ends by itself: says so, and offers to stay signed in. What is done in
// other windows counts, too: before anything is said, it is asked.
(function () {
  "use strict";
  var script = document.currentScript;
  if (!script || !window.fetch) return;
  var folder = script.src.replace(/[^/]*$/, "");
  var place = folder.replace(/static\/[^/]*\/$/, "session");
  var said = "", closed = false, due, timer, box, sheet, before;

  // Asks after so many seconds; in short steps, because computers sleep.
  function later(seconds) {
    due = Date.now() + seconds * 1000;
    step();
  }

  function step() {
    var left = due - Date.now();
    clearTimeout(timer);
    if (left > 0) timer = setTimeout(step, Math.min(left, 20000));
    else ask("GET");
  }

  function ask(method) {
    fetch(place, { method: method, credentials: "same-origin", cache: "no-store" })
      .then(function (answer) {
        if (answer.status !== 200 && answer.status !== 401) throw answer;
        return answer.json().then(answer.ok ? lives : over);
      })
      .catch(function () { later(60); });
  }

  function lives(answer) {
    var left = answer.ends_in;
    if (left > answer.warn) {
      closed = false;
      say("");
      return later(left - answer.warn);
    }
    later(Math.min(left + 1, 10));
    if (closed) return;
    // As the text's language writes it where its reader is.
    var tag = answer.language;
    tag = navigator.languages.find(function (one) { return one.startsWith(tag); }) || tag;
    var end = new Date(Date.now() + left * 1000);
    end = end.toLocaleTimeString(tag, { hour: "numeric", minute: "2-digit" });
    answer.text = answer.text.replace("{time}", end);
    say(answer.stays ? "ends" : "last", answer, function () {
      closed = !answer.stays;
      if (closed) say("");
      else ask("POST");
    });
  }

  // The way to sign in leads back to this page.
  function over(answer) { say("over", answer); }

  function say(what, answer, acts) {
    if (what === said) return;
    said = what;
    if (box) {
      if (before && box.contains(document.activeElement)) before.focus();
      box.remove();
      box = null;
    }
    if (!what) return;
    box = document.createElement("div");
    box.id = "passgate-session";
    box.setAttribute("role", "alert");
    box.lang = answer.language;
    box.appendChild(document.createElement("p")).textContent = answer.text;
    var button = box.appendChild(document.createElement(acts ? "button" : "a"));
    button.textContent = answer.action;
    if (acts) button.type = "button";
    else button.href = location.href.split("#")[0];
    button.onclick = acts;
    box.addEventListener("focusin", function (event) { before = event.relatedTarget || before; });
    var shown = box;
    var show = function () { if (shown === box) document.body.appendChild(box); };
    if (sheet) return show();
    sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.onload = sheet.onerror = show;
    sheet.href = folder + "session.css";
    document.head.appendChild(sheet);
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) ask("GET");
  });
  later(3);
})();
