CREATE VIEW rolecall.my_queues WITH (security_barrier) AS
    SELECT name AS queue, coalesce(ready, 0) AS ready, coalesce(leased, 0) AS leased
      FROM rolecall.consumable c
      LEFT JOIN (SELECT queue, count(*) FILTER (WHERE state = 'ready' AND expires_at > clock_timestamp()) AS ready,
                        count(*) FILTER (WHERE state = 'leased') AS leased
                   FROM rolecall.messages GROUP BY queue) m ON m.queue = c.id;
COMMENT ON VIEW rolecall.my_queues IS 'The queues that one may receive from';
COMMENT ON COLUMN rolecall.my_queues.queue IS 'The user''s name, role:NAME or workflow:NAME';
COMMENT ON COLUMN rolecall.my_queues.ready IS 'How many messages wait in it';
COMMENT ON COLUMN rolecall.my_queues.leased IS 'How many messages of it somebody is working on';

CREATE VIEW rolecall.my_dead_letters WITH (security_barrier) AS
    SELECT message, queue_name AS queue, payload, sender, in_reply_to, attempts, sent_at, expires_at, reason, died_at
      FROM rolecall.dead_letters
     WHERE queue IN (SELECT id FROM rolecall.consumable)
        OR sender_key = coalesce('user:' || rolecall.user_id(), 'api_token:' || rolecall.api_token_id())
        OR rolecall.is_administrator();
COMMENT ON VIEW rolecall.my_dead_letters IS
    'Messages that nobody has done: one''s own, and of queues that one may receive from; administrators see all';
COMMENT ON COLUMN rolecall.my_dead_letters.message IS 'The message''s id';
COMMENT ON COLUMN rolecall.my_dead_letters.queue IS 'What its queue was called';
COMMENT ON COLUMN rolecall.my_dead_letters.payload IS 'What it says';
COMMENT ON COLUMN rolecall.my_dead_letters.sender IS 'Who sent it; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.my_dead_letters.in_reply_to IS 'The message that it was to answer';
COMMENT ON COLUMN rolecall.my_dead_letters.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.my_dead_letters.sent_at IS 'When it was sent';
COMMENT ON COLUMN rolecall.my_dead_letters.expires_at IS 'When it expired, or would have';
COMMENT ON COLUMN rolecall.my_dead_letters.reason IS 'expired, attempts (too many leases have ended) or dropped (its queue is gone)';
COMMENT ON COLUMN rolecall.my_dead_letters.died_at IS 'Since when it lies here';
