"""Tables and guards of the journal's database."""

from typing import Final

SCHEMA: Final = """
CREATE TABLE about (panel TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE epochs (
  ordinal INTEGER PRIMARY KEY, epoch INTEGER NOT NULL UNIQUE, recorded INTEGER NOT NULL);
CREATE TABLE records (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, raw BLOB NOT NULL);
CREATE TABLE losses (epoch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE acked_upto (path TEXT PRIMARY KEY, id INTEGER NOT NULL, tag BLOB NOT NULL);
CREATE TABLE acked_beyond (
  path TEXT NOT NULL, id INTEGER NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (path, id)
) WITHOUT ROWID;
CREATE TABLE owed_again (
  path TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (path, id)) WITHOUT ROWID;
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1), upto INTEGER NOT NULL, boot TEXT NOT NULL,
  snapshot BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE untold (event BLOB NOT NULL);
CREATE TABLE rotated (one INTEGER PRIMARY KEY CHECK (one = 1), upto INTEGER NOT NULL);
INSERT INTO rotated VALUES (1, 0);
CREATE TRIGGER records_stay BEFORE UPDATE ON records
  BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_once BEFORE INSERT ON records
  WHEN EXISTS (SELECT 1 FROM records WHERE id = NEW.id)
    OR NEW.id <= (SELECT upto FROM rotated)
  BEGIN SELECT RAISE(ABORT, 'a record is written once'); END;
CREATE TRIGGER records_rotate BEFORE DELETE ON records
  WHEN OLD.id > (SELECT upto FROM rotated)
    OR EXISTS (SELECT 1 FROM acked_upto WHERE id < OLD.id)
    OR EXISTS (SELECT 1 FROM owed_again WHERE id <= OLD.id)
  BEGIN SELECT RAISE(ABORT, 'only rotation removes acknowledged records'); END;
CREATE TRIGGER rotated_grows BEFORE UPDATE ON rotated WHEN NEW.upto < OLD.upto
  BEGIN SELECT RAISE(ABORT, 'rotation never goes back'); END;
CREATE TRIGGER rotated_stays BEFORE DELETE ON rotated
  BEGIN SELECT RAISE(ABORT, 'rotation never goes back'); END;
CREATE TRIGGER losses_stay BEFORE UPDATE ON losses
  BEGIN SELECT RAISE(ABORT, 'losses stay'); END;
CREATE TRIGGER losses_kept BEFORE DELETE ON losses
  BEGIN SELECT RAISE(ABORT, 'losses stay'); END;
"""
