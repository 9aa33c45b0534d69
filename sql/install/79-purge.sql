CREATE FUNCTION rolecall.purge(older_than interval DEFAULT '90 days') RETURNS TABLE (what text, removed bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    before timestamptz := clock_timestamp() - older_than;
BEGIN
    PERFORM must_administer('purge()');
    IF (older_than >= '0') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'older_than must be 0 or more';
    END IF;
    what := 'dead letters';
    DELETE FROM dead_letters WHERE died_at < before;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    what := 'finished work items';
    DELETE FROM work_items WHERE finished_at < before;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    -- A token on no record counts as revoked, so only what has expired goes.
    what := 'expired server tokens';
    DELETE FROM server_tokens WHERE expires_at < least(before, clock_timestamp());
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    what := 'expired invitations';
    DELETE FROM invitations WHERE expires_at < least(before, clock_timestamp());
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION rolecall.purge(interval) IS
    'Removes dead letters, finished work items, and expired server tokens and invitations that are older than that (administrators)';
