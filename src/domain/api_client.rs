//! The application behind a request for tokens: an OAuth client of the PBX.

use super::secret::Secret;

/// An application's id and secret at the PBX's API (RFC 6749 §2.3.1). They are the PBX's own;
/// Passgate passes them through and keeps neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Its public name.
    pub id: String,
    /// Its secret; empty for an application that has none.
    pub secret: Secret,
}

impl ClientCredentials {
    /// Whether both name the same application with the same secret. The secret is compared in
    /// constant time; the id is public.
    pub fn same_as(&self, other: &Self) -> bool {
        self.secret.same_as(&other.secret) && self.id == other.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, secret: &str) -> ClientCredentials {
        ClientCredentials { id: id.into(), secret: Secret::new(secret) }
    }

    /// R-F4: a token is bound to the client that asked for it, id and secret.
    #[test]
    fn both_must_be_equal() {
        let one = client("softphone", "s3cret");
        assert!(one.same_as(&client("softphone", "s3cret")));
        for other in
            [client("softphone", "S3cret"), client("softphone", ""), client("Softphone", "s3cret")]
        {
            assert!(!one.same_as(&other), "{other:?}");
        }
    }

    /// Security: a client's secret is in no log.
    #[test]
    fn the_secret_is_not_printed() {
        let printed = format!("{:?}", client("softphone", "s3cret"));
        assert!(printed.contains("softphone") && !printed.contains("s3cret"), "{printed}");
    }
}
