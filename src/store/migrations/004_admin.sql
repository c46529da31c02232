-- Who manages the gateway beside the holder of the admin key. Tokens are SHA-256 in hex.
CREATE TABLE admin_users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    org_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    token_last4 TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- Sessions of browsers. id is the SHA-256 of what the cookie names, so that a copy of this table
-- opens none. kind: admin_user (subject: its id) or admin_key (subject: a print of that key).
CREATE TABLE admin_sessions (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX admin_sessions_subject ON admin_sessions (kind, subject);
CREATE INDEX admin_sessions_expiry ON admin_sessions (expires_at);

-- Acts of administrators, for lists. The journal is the truth: seq is the entry's number on the
-- chain of this node.
CREATE TABLE admin_acts (
    chain TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    target TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX admin_acts_at ON admin_acts (at, chain, seq);
CREATE INDEX admin_acts_actor ON admin_acts (actor, at);
