-- Who may call, and within what limits (keys/registry.h). Lists, budgets and metadata are JSON.
-- version is the number of the change (000_base.sql) that made the record so.
CREATE TABLE orgs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    budgets TEXT NOT NULL,
    rpm_limit INTEGER NOT NULL,
    tpm_limit INTEGER NOT NULL,
    max_parallel_requests INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX orgs_by_name ON orgs (name);
CREATE INDEX orgs_by_time ON orgs (created_at, id);
CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    org_id TEXT NOT NULL,
    budgets TEXT NOT NULL,
    rpm_limit INTEGER NOT NULL,
    tpm_limit INTEGER NOT NULL,
    max_parallel_requests INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX teams_by_name ON teams (org_id, name);
CREATE INDEX teams_by_time ON teams (created_at, id);
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    team_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    budgets TEXT NOT NULL,
    rpm_limit INTEGER NOT NULL,
    tpm_limit INTEGER NOT NULL,
    max_parallel_requests INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_by_name ON users (org_id, name);
CREATE INDEX users_by_time ON users (created_at, id);
CREATE INDEX users_by_team ON users (team_id);
-- A key is found by its SHA-256; the key itself is nowhere. superseded: another one was made in its
-- place, which now has the name.
CREATE TABLE vkeys (
    hash BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    last4 TEXT NOT NULL,
    model_allowlist TEXT NOT NULL,
    provider_allowlist TEXT NOT NULL,
    endpoint_allowlist TEXT NOT NULL,
    address_allowlist TEXT NOT NULL,
    budgets TEXT NOT NULL,
    rpm_limit INTEGER NOT NULL,
    tpm_limit INTEGER NOT NULL,
    max_parallel_requests INTEGER NOT NULL,
    policy_set TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    mcp_servers TEXT NOT NULL,
    agents TEXT NOT NULL,
    content_logging TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    rotated_from TEXT NOT NULL,
    superseded INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX vkeys_by_name ON vkeys (org_id, team_id, name)
    WHERE is_active = 1 AND superseded = 0;
CREATE INDEX vkeys_by_time ON vkeys (created_at, id);
CREATE INDEX vkeys_by_team ON vkeys (team_id);
CREATE INDEX vkeys_by_user ON vkeys (user_id);
-- Limits of those who call through a key; id '*' is for all that have no record of their own.
CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    budgets TEXT NOT NULL,
    rpm_limit INTEGER NOT NULL,
    tpm_limit INTEGER NOT NULL,
    max_parallel_requests INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX customers_by_time ON customers (created_at, id);
