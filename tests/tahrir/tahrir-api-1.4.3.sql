CREATE TABLE issuers (
    id SERIAL NOT NULL,
    origin VARCHAR(128) NOT NULL,
    name VARCHAR(128) NOT NULL,
    org VARCHAR(128) NOT NULL,
    contact VARCHAR(128) NOT NULL,
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    CONSTRAINT pk_issuers PRIMARY KEY (id),
    CONSTRAINT uq_issuers_id UNIQUE (id),
    CONSTRAINT uq_issuers_name UNIQUE (name)
);
CREATE TABLE team (
    id VARCHAR(128) NOT NULL,
    name VARCHAR(128) NOT NULL,
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    CONSTRAINT pk_team PRIMARY KEY (id),
    CONSTRAINT uq_team_name UNIQUE (name)
);
CREATE TABLE persons (
    id SERIAL NOT NULL,
    email VARCHAR(128) NOT NULL,
    _avatar VARCHAR(128),
    nickname VARCHAR(128),
    website VARCHAR(128),
    bio VARCHAR(140),
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    last_login TIMESTAMP WITHOUT TIME ZONE,
    opt_out BOOLEAN NOT NULL,
    rank INTEGER,
    CONSTRAINT pk_persons PRIMARY KEY (id),
    CONSTRAINT uq_persons_id UNIQUE (id),
    CONSTRAINT uq_persons_email UNIQUE (email),
    CONSTRAINT uq_persons_nickname UNIQUE (nickname)
);
CREATE TABLE badges (
    id VARCHAR(128) NOT NULL,
    name VARCHAR(128) NOT NULL,
    image VARCHAR(128) NOT NULL,
    stl VARCHAR(128),
    description VARCHAR(128) NOT NULL,
    criteria VARCHAR(128) NOT NULL,
    issuer_id INTEGER NOT NULL,
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    tags VARCHAR(128),
    CONSTRAINT pk_badges PRIMARY KEY (id),
    CONSTRAINT uq_badges_name UNIQUE (name),
    CONSTRAINT fk_badges_issuer_id_issuers FOREIGN KEY(issuer_id) REFERENCES issuers (id)
);
CREATE TABLE series (
    id VARCHAR(128) NOT NULL,
    name VARCHAR(128) NOT NULL,
    description VARCHAR(128) NOT NULL,
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    last_updated TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    tags VARCHAR(128),
    team_id VARCHAR(128) NOT NULL,
    CONSTRAINT pk_series PRIMARY KEY (id),
    CONSTRAINT uq_series_name UNIQUE (name),
    CONSTRAINT fk_series_team_id_team FOREIGN KEY(team_id) REFERENCES team (id)
);
CREATE TABLE milestone (
    id SERIAL NOT NULL,
    position INTEGER,
    badge_id VARCHAR(128) NOT NULL,
    series_id VARCHAR(128) NOT NULL,
    CONSTRAINT pk_milestone PRIMARY KEY (id),
    CONSTRAINT uq_milestone_position UNIQUE (position, badge_id, series_id),
    CONSTRAINT uq_milestone_id UNIQUE (id),
    CONSTRAINT fk_milestone_badge_id_badges FOREIGN KEY(badge_id) REFERENCES badges (id),
    CONSTRAINT fk_milestone_series_id_series FOREIGN KEY(series_id) REFERENCES series (id)
);
CREATE TABLE invitations (
    id VARCHAR(32) NOT NULL,
    created_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    expires_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    badge_id VARCHAR(128) NOT NULL,
    created_by INTEGER NOT NULL,
    CONSTRAINT pk_invitations PRIMARY KEY (id),
    CONSTRAINT uq_invitations_id UNIQUE (id),
    CONSTRAINT fk_invitations_badge_id_badges FOREIGN KEY(badge_id) REFERENCES badges (id),
    CONSTRAINT fk_invitations_created_by_persons FOREIGN KEY(created_by) REFERENCES persons (id)
);
CREATE TABLE authorizations (
    id SERIAL NOT NULL,
    badge_id VARCHAR(128) NOT NULL,
    person_id INTEGER NOT NULL,
    CONSTRAINT pk_authorizations PRIMARY KEY (id),
    CONSTRAINT fk_authorizations_badge_id_badges FOREIGN KEY(badge_id) REFERENCES badges (id),
    CONSTRAINT fk_authorizations_person_id_persons FOREIGN KEY(person_id) REFERENCES persons (id)
);
CREATE TABLE current_values (
    badge_id VARCHAR(128) NOT NULL,
    person_id INTEGER NOT NULL,
    value INTEGER NOT NULL,
    last_update TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    CONSTRAINT pk_current_values PRIMARY KEY (badge_id, person_id),
    CONSTRAINT fk_current_values_badge_id_badges FOREIGN KEY(badge_id) REFERENCES badges (id),
    CONSTRAINT fk_current_values_person_id_persons FOREIGN KEY(person_id) REFERENCES persons (id)
);
CREATE TABLE assertions (
    id VARCHAR(128) NOT NULL,
    badge_id VARCHAR(128) NOT NULL,
    person_id INTEGER NOT NULL,
    salt VARCHAR(128) NOT NULL,
    issued_on TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    issued_for VARCHAR(256),
    recipient VARCHAR(256) NOT NULL,
    CONSTRAINT pk_assertions PRIMARY KEY (id),
    CONSTRAINT uq_assertions_id UNIQUE (id),
    CONSTRAINT fk_assertions_badge_id_badges FOREIGN KEY(badge_id) REFERENCES badges (id),
    CONSTRAINT fk_assertions_person_id_persons FOREIGN KEY(person_id) REFERENCES persons (id)
);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('51261da641fb');
