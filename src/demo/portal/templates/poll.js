// Asks whether the session lives; two bad answers in a row sign the user out.
(function () {
  var bad = 0;
  setInterval(function () {
    var request = new XMLHttpRequest();
    request.open("GET", "/portal/home/checkSession");
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.onloadend = function () {
      bad = request.status === 200 && request.responseText.trim() === "ok" ? 0 : bad + 1;
      if (bad >= 2) { window.location = "/portal/login/logout/expired"; }
    };
    request.send();
  }, {{ every }});
})();
