-- One metered call by single statements (credits/books/holds.py PLACE and END, usage/record.py): what
-- the same books cost without group commit. Two commits, as in a real call.
\set n random(1, :accounts)
WITH key AS (
    SELECT id, user_id, workspace_id FROM apikeys_apikey
     WHERE digest = (SELECT digest FROM bench_key WHERE n = :n)
       AND revoked_at IS NULL AND disabled_at IS NULL AND coalesce(expires_at > now(), true)
       AND 'proxy' = ANY (scopes)
), taken AS (
    UPDATE credits_account account
       SET held_micros = held_micros + 1000,
           open_holds = open_holds + 1
      FROM key
     WHERE account.id = key.workspace_id AND kind = 'wallet' AND frozen_reason = ''
       AND balance_micros - held_micros >= 1000
 RETURNING account.id, key.id AS key, key.user_id
)
INSERT INTO credits_hold (id, account_id, amount_micros, intent, memo, expires_at)
SELECT uuidv7(), id, 1000, gen_random_uuid(),
       jsonb_build_object('key', key, 'user', user_id, 'vendor', 'sandbox',
           'operation', 'v1/echo', 'run', '', 'quoted', 1000, 'price', 'sandbox-1'),
       now() + interval '660 seconds'
  FROM taken
RETURNING id AS hold, account_id AS wallet \gset
WITH wallet AS MATERIALIZED (
    SELECT id, events FROM credits_account WHERE id = :wallet::uuid FOR NO KEY UPDATE
), ended AS (
    DELETE FROM credits_hold hold USING wallet
     WHERE hold.id = :hold::uuid AND hold.account_id = wallet.id
 RETURNING hold.id, hold.account_id, hold.amount_micros AS held, 1000::bigint AS charged,
           hold.memo, hold.placed_at, wallet.events + 1 AS number
), freed AS (
    UPDATE credits_account account
       SET balance_micros = balance_micros - ended.charged,
           held_micros = held_micros - ended.held,
           open_holds = open_holds - 1,
           events = events + 1
      FROM ended
     WHERE account.id = ended.account_id
), posted AS (
    INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)
    SELECT 'call', account_id, '00000000-0000-0000-0000-000000000001'::uuid, charged, 'call:' || id
      FROM ended
), called AS (
    INSERT INTO usage_call (
           id, workspace_id, number, user_id, key_id, vendor, operation, run_id, outcome,
           reason, status, quoted_micros, held_micros, charged_micros, price_version,
           attempts, vendor_job_id, vendor_request_id, facts, started_at, settled_at)
    SELECT id, account_id, number, (memo->>'user')::uuid, (memo->>'key')::uuid, memo->>'vendor',
           memo->>'operation', memo->>'run', 'delivered', '', 200, (memo->>'quoted')::bigint,
           held, charged, memo->>'price', 1, '', '', '{}', placed_at, now()
      FROM ended
)
SELECT charged FROM ended;
