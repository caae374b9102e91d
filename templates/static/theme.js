// Runs before the page is drawn: puts the theme on that was chosen earlier, so nothing flashes.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("passgate-theme");
    if (chosen === "light" || chosen === "dark") {
      document.documentElement.dataset.theme = chosen;
    }
  } catch (_) {
    // No storage: the system's theme.
  }
})();
