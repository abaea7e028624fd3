//! Sealing what users entrust to the server, so that its files alone give nothing away: AES-256-GCM, with a nonce of its
//! own for each secret, and bound to what it is the secret of.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};

use super::errors::Refusal;

/// The environment variable that the encryption key is read from.
pub const VARIABLE: &str = "ENCRYPTION_KEY";

/// What secrets are sealed with.
#[derive(Clone)]
pub struct EncryptionKey([u8; 32]);

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl EncryptionKey {
    /// The key that a long random text stands for; none if it is empty.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Some(Self(key))
    }

    /// A key that nobody has. What it seals, it alone opens.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

pub(super) struct Sealing(RandomizedNonceKey);

impl Sealing {
    /// Always something: its 32 bytes are what AES-256 takes.
    pub(super) fn new(key: &EncryptionKey) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key.0);
        key.ok().map(Self)
    }

    /// The sealed secret of `whose`: the nonce, and what it is encrypted to.
    pub(super) fn seal(&self, whose: &str, secret: &str) -> Result<Vec<u8>, Refusal> {
        let mut text = secret.as_bytes().to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(whose), &mut text);
        let nonce = nonce.map_err(|_| Refusal::Unsealed)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// What was sealed; none, if it was with another key, or as somebody else's.
    pub(super) fn open(&self, whose: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let secret = self.0.open_in_place(nonce, Aad::from(whose), &mut text);
        String::from_utf8(secret.ok()?.to_vec()).ok()
    }
}
