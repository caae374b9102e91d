// Shows what the WebSocket says, and sends what the user types.
(function () {
  var log = document.getElementById("socket-log");
  var state = document.getElementById("socket-state");
  var scheme = location.protocol === "https:" ? "wss://" : "ws://";
  var socket = new WebSocket(scheme + location.host + "/portal/socket");
  function line(text) {
    var item = document.createElement("li");
    item.textContent = text;
    log.insertBefore(item, log.firstChild);
    while (log.children.length > 12) { log.removeChild(log.lastChild); }
  }
  socket.onopen = function () { state.textContent = "open"; };
  socket.onclose = function () { state.textContent = "closed"; };
  socket.onmessage = function (event) {
    var message = {};
    try { message = JSON.parse(event.data); } catch (error) { message = {}; }
    if (message.type === "hello") { line("Signed in as " + message.user); }
    else if (message.type === "tick") { line("Server time signal " + message.count); }
    else { line("Echo: " + event.data); }
  };
  document.getElementById("MessageForm").addEventListener("submit", function (event) {
    var field = document.getElementById("MessageText");
    event.preventDefault();
    if (field.value) { socket.send(field.value); field.value = ""; }
  });
})();
