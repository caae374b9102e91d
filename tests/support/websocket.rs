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
        let mut fields = Vec::new();
        let cookies = client.cookie_header();
        if !cookies.is_empty() {
            fields.push(("cookie", cookies));
        }
        fields.extend(origin.map(|origin| ("origin", origin.to_owned())));
        Self::with(gateway, path, &fields).await
    }

    /// Opens one with these header fields, as an application does.
    pub async fn with(
        gateway: &Gateway,
        path: &str,
        fields: &[(&'static str, String)],
    ) -> Result<Self, u16> {
        let address = format!("wss://localhost:{}{path}", gateway.https.port());
        let mut request = address.into_client_request().unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
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
