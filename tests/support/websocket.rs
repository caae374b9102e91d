//! WebSockets through the gateway, as a page's script opens them.

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::raw::Wire;
use super::{Client, Gateway};

/// An open WebSocket.
pub struct Socket(pub WebSocketStream<Box<dyn Wire>>);

impl Socket {
    /// Opens one with the client's cookies and this `Origin`; `Err` is the status of the refusal.
    pub async fn open(
        gateway: &Gateway,
        client: &Client,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Self, u16> {
        let address = format!("{}{path}", client.base.replacen("https", "wss", 1));
        let mut request = address.into_client_request().unwrap();
        let fields = request.headers_mut();
        let cookies = client.cookie_header();
        if !cookies.is_empty() {
            fields.insert("cookie", cookies.parse().unwrap());
        }
        if let Some(origin) = origin {
            fields.insert("origin", origin.parse().unwrap());
        }
        let connection = gateway.raw().await.into_stream();
        match tokio_tungstenite::client_async(request, connection).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// The next message; `None` when the connection has ended, well or not.
    pub async fn next(&mut self) -> Option<Message> {
        match self.0.next().await {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }
}
