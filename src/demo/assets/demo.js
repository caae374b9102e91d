// Keeps clock, phase and number of mails fresh; without it the page shows them as of its loading.
const show = (id, text) => {
  const place = document.getElementById(id);
  if (place) place.textContent = text;
};
const phases = document.querySelector(".phases");
const refresh = async () => {
  if (document.hidden) return;
  try {
    const state = await (await fetch("/state")).json();
    show("date", state.date);
    show("time", state.time);
    show("mails", state.mails);
    // Everything on the page depends on the phase: load it anew when it has changed.
    if (phases && phases.dataset.phase !== state.phase) location.reload();
  } catch {
    show("time", "(the demo has ended)");
  }
};
setInterval(refresh, 2000);
document.addEventListener("visibilitychange", refresh);
