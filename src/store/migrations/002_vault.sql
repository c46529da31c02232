-- The vault: provider keys, sealed under a master key that never comes near the database.
-- sealed: nonce, ciphertext, tag (crypto/seal.h), bound to id, provider and version.
CREATE TABLE provider_keys (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    version INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    last4 TEXT NOT NULL,
    weight INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX provider_keys_by_name ON provider_keys (provider, name);
-- One row: the master key that seals, and a number that every change of the vault raises.
CREATE TABLE vault_state (
    id INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL,
    serial INTEGER NOT NULL
);
