-- Responses that the gateway keeps itself, for models whose provider keeps none: items are those of
-- the whole conversation before the answer, reply is the Response object. Whose it is: the team, or
-- the key where there is none; caller is the hash of the caller's own credential, of calls without
-- a key.
CREATE TABLE kept_responses (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    items BLOB NOT NULL,
    reply BLOB NOT NULL
);
CREATE INDEX kept_responses_expiry ON kept_responses (expires_at);
