-- What a database needs so that tables of it are mirrored: an outbox, and triggers that fill it in the same transaction as the change
-- itself. Run it once, as the owner of the tables; then `SELECT roomcast_mirror('tasks', 'organization_id', 'id')` for each table.

CREATE TABLE roomcast_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organization_id text NOT NULL,
  table_name text NOT NULL,
  event text NOT NULL CHECK (event IN ('INSERT', 'UPDATE', 'DELETE')),
  -- The row as it is now; of a deleted one as it was.
  data jsonb NOT NULL,
  -- The columns of the table's primary key, with commas between.
  primary_key text NOT NULL
);

-- Row changes of one row wait for each other, so their entries are numbered in the order in which they are committed. Between
-- different rows the order may differ, which nobody can tell from the collection.
--
-- A row that names no organization is nobody's and not mirrored. Arguments: the column that names it, and the columns of the primary key with commas between.
CREATE FUNCTION roomcast_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  organization_column text := TG_ARGV[0];
  key_columns text[] := string_to_array(TG_ARGV[1], ',');
  before jsonb;
  after jsonb;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    before := to_jsonb(OLD);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    after := to_jsonb(NEW);
  END IF;
  -- A row that gets another key, or another owner, is another item: the old one goes.
  IF before ->> organization_column IS NOT NULL AND (after IS NULL OR roomcast_place(before, organization_column, key_columns)
      <> roomcast_place(after, organization_column, key_columns)) THEN
    INSERT INTO roomcast_outbox (organization_id, table_name, event, data, primary_key)
      VALUES (before ->> organization_column, TG_TABLE_NAME, 'DELETE', before, TG_ARGV[1]);
  END IF;
  IF after ->> organization_column IS NOT NULL THEN
    INSERT INTO roomcast_outbox (organization_id, table_name, event, data, primary_key)
      VALUES (after ->> organization_column, TG_TABLE_NAME, TG_OP, after, TG_ARGV[1]);
  END IF;
  -- Wakes the relay when the transaction is committed; many of them in one transaction are one.
  PERFORM pg_notify('roomcast_outbox', '');
  RETURN NULL;
END
$$;

-- Which item of whose collection a row is.
CREATE FUNCTION roomcast_place(data jsonb, organization_column text, key_columns text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_array(data -> organization_column, jsonb_agg(data -> name ORDER BY ordinal))
  FROM unnest(key_columns) WITH ORDINALITY AS columns (name, ordinal)
$$;

-- TRUNCATE calls no triggers for rows.
CREATE FUNCTION roomcast_note_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO roomcast_outbox (organization_id, table_name, event, data, primary_key)
    SELECT to_jsonb(t) ->> %L, %L, %L, to_jsonb(t), %L FROM %I.%I AS t WHERE to_jsonb(t) ->> %L IS NOT NULL',
    TG_ARGV[0], TG_TABLE_NAME, 'DELETE', TG_ARGV[1], TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]);
  PERFORM pg_notify('roomcast_outbox', '');
  RETURN NULL;
END
$$;

-- Puts every row of the table into the outbox once more: at the beginning, and after Redis lost its data. Whoever writes waits meanwhile,
-- because a row that was changed after it was read here would be overwritten by what it was before.
CREATE FUNCTION roomcast_fill(target regclass, organization_column text, primary_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', target);
  EXECUTE format('INSERT INTO roomcast_outbox (organization_id, table_name, event, data, primary_key)
    SELECT to_jsonb(t) ->> %L, %L, %L, to_jsonb(t), %L FROM %s AS t WHERE to_jsonb(t) ->> %L IS NOT NULL',
    organization_column, (SELECT relname FROM pg_class WHERE oid = target), 'UPDATE', primary_key, target, organization_column);
  PERFORM pg_notify('roomcast_outbox', '');
END
$$;

-- Mirrors a table from now on, and what stands in it already.
CREATE FUNCTION roomcast_mirror(target regclass, organization_column text, primary_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER roomcast_note AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION roomcast_note(%L, %L)',
    target, organization_column, primary_key);
  EXECUTE format('CREATE TRIGGER roomcast_note_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION roomcast_note_truncate(%L, %L)',
    target, organization_column, primary_key);
  PERFORM roomcast_fill(target, organization_column, primary_key);
END
$$;
