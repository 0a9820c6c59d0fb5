-- What happened, one row per event of the engine, never updated and never deleted; and how far it has been written.
--
-- Prices are ticks and quantities are lots, as in the engine; the views turn them into decimals. Kinds, sides and reasons
-- are the numbers of engine/records.py, which are stable. The ordinal of an event and the address of its order's previous
-- one are left out: they address the engine's event log, and (sequence, event_index) has the same order.
--
-- A database holds the events of all partitions of one shard, one table per UTC day of the event's time. The key of a
-- partitioned table would have to contain its time, and (partition, sequence, event_index) alone is the identity of an
-- event; so the key stands on each day's table (V0002). Across days it cannot repeat: a batch is written only together with
-- the move of the checkpoint from the sequence before it. The day
-- that is being written has no index but its key: each further one would halve the rate of writing.
CREATE TABLE events (
    sequence       bigint   NOT NULL,
    order_sequence bigint   NOT NULL, -- sequence of the order's NEW command; 0: concerns no order
    time_ns        bigint   NOT NULL,
    price          bigint   NOT NULL, -- ticks; of a fill: the maker's price
    quantity       bigint   NOT NULL, -- lots ordered, filled or cancelled by this event
    leaves         bigint   NOT NULL, -- lots open after this event
    trade          bigint   NOT NULL, -- number of the match, the same for maker and taker; 0: none
    partition      integer  NOT NULL,
    event_index    integer  NOT NULL, -- place among the events of the same command
    account        integer  NOT NULL,
    symbol         integer  NOT NULL,
    kind           smallint NOT NULL,
    side           smallint NOT NULL,
    type           smallint NOT NULL,
    tif            smallint NOT NULL,
    flags          smallint NOT NULL, -- 1 post-only, 2 the order was resting (maker)
    reason         smallint NOT NULL,
    text           text     NOT NULL  -- client_order_id; why of a halt; name of a definition
) PARTITION BY RANGE (time_ns);

-- One row per partition, moved in the transaction that writes the rows: this makes every event stand exactly once.
CREATE TABLE checkpoint (
    partition  integer     PRIMARY KEY,
    sequence   bigint      NOT NULL, -- of the last command whose events are all here
    ordinal    bigint      NOT NULL, -- how many events are here: the address of the next one
    time_ns    bigint      NOT NULL, -- of the last event
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);

-- What the numbers in events.symbol and events.account mean.
CREATE TABLE instruments (
    partition integer NOT NULL,
    id        integer NOT NULL,
    symbol    text    NOT NULL,
    tick_size numeric NOT NULL,
    lot_size  numeric NOT NULL,
    currency  text    NOT NULL,
    state     text    NOT NULL CHECK (state IN ('open', 'halted')),
    PRIMARY KEY (partition, id),
    UNIQUE (partition, symbol)
);

CREATE TABLE accounts (
    partition integer NOT NULL,
    id        integer NOT NULL,
    account   text    NOT NULL,
    PRIMARY KEY (partition, id),
    UNIQUE (partition, account)
);
