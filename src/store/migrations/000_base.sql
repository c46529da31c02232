-- What is in force beside the configuration file: a name, its value (JSON), when and by whom.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
);

-- The change feed that replicas poll: what of which kind was changed. Rows are written by
-- store_batch_add_change() alone, which takes seq from change_counter: its row is locked until the
-- commit, so that numbers become visible in their order and a reader that asks for
-- seq > (the last it saw) misses none. (A sequence would hand out numbers that commit out of order.)
CREATE TABLE changes (
    seq INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX changes_at ON changes (at);
CREATE TABLE change_counter (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    n INTEGER NOT NULL
);
INSERT INTO change_counter (id, n) VALUES (1, 0);
