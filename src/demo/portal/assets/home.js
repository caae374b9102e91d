// Shows that the event stream is alive.
(function () {
  var place = document.getElementById("presence");
  var stream = new EventSource("/portal/events");
  stream.addEventListener("presence", function (event) {
    place.textContent = "(update " + JSON.parse(event.data).count + ")";
  });
})();
