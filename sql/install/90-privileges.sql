-- Tables are closed; every entry is a function that checks its caller.
REVOKE ALL ON ALL TABLES IN SCHEMA rolecall FROM PUBLIC;
-- To those too who may read or write all data (pg_read_all_data): without a policy there are rows for the owner only, as
-- whom these functions run.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA rolecall TO PUBLIC;
GRANT SELECT ON rolecall.audit_log, rolecall.access_matrix, rolecall.my_tokens, rolecall.my_queues, rolecall.my_dead_letters, rolecall.my_work_items TO PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.invalidate_sessions(), rolecall.acl_support(internal), rolecall.record_change(), rolecall.refuse_change(), rolecall.name_of_dropped(oid), rolecall.folded_changes(timestamptz),
    rolecall.keep_one_everybody(), rolecall.follow_rename(regclass, name, name), rolecall.note_columns(),
    rolecall.include_children(regclass), rolecall.recompile(regclass), rolecall.refresh_exposed(regclass), rolecall.touches_support(internal),
    rolecall.touches(oid, text, text[], boolean, text[]), rolecall.after_table(), rolecall.after_drop() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.new_channel(), rolecall.identity_key(), rolecall.queue_of(text), rolecall.queue_to_send_to(text),
    rolecall.tell_of_change(), rolecall.change_channels(bigint[]), rolecall.pools_of(text[]), rolecall.leave_channels(),
    rolecall.disabled_user_leaves(), rolecall.drop_queue_of_user(), rolecall.keep_queue_of_pool(),
    rolecall.queue_name(bigint),
    rolecall.wake(bigint[]), rolecall.answer(bigint, jsonb, bigint), rolecall.bury(bigint[], boolean), rolecall.bury_all(),
    rolecall.tidy(int), rolecall.lease_end(interval), rolecall.not_leased(bigint), rolecall.follow_channels(),
    rolecall.remove_role(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.must_administer(text), rolecall.keep_pool(), rolecall.work_queue(text, text),
    rolecall.held_item(bigint, int), rolecall.due_after(interval), rolecall.wake_pool(text),
    rolecall.add_item(rolecall.work_queues, jsonb, int, interval, text, jsonb),
    rolecall.finish_item(rolecall.work_items, text, jsonb, text), rolecall.fail_run(rolecall.work_items, text, boolean),
    rolecall.settle_due_items(rolecall.work_queues, timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.grantee_name(oid), rolecall.column_list(oid, int2[]), rolecall.doctor_tables(),
    rolecall.policy_says(oid, text, pg_node_tree, pg_node_tree), rolecall.policy_is_sound(oid, text, text, pg_policy),
    rolecall.doctor_views(), rolecall.doctor_functions(), rolecall.doctor_roles(), rolecall.doctor_server(),
    rolecall.doctor_own(), rolecall.doctor_accounts(), rolecall.doctor_speed() FROM PUBLIC;
