-- Orders, fills and trades with decimals and names, as every door shows them.

CREATE VIEW fills AS
SELECT e.partition,
       e.order_sequence,
       e.partition || '-' || e.order_sequence                     AS order_id,
       e.partition || '-' || e.trade                              AS trade_id,
       trim_scale(e.price * i.tick_size)                          AS price,
       trim_scale(e.quantity * i.lot_size)                        AS quantity,
       CASE WHEN e.flags & 2 = 2 THEN 'maker' ELSE 'taker' END    AS liquidity,
       CASE e.side WHEN 1 THEN 'buy' ELSE 'sell' END              AS side,
       a.account,
       i.symbol,
       e.sequence,
       e.event_index,
       e.time_ns
  FROM events e
  JOIN instruments i ON i.partition = e.partition AND i.id = e.symbol
  JOIN accounts a ON a.partition = e.partition AND a.id = e.account
 WHERE e.kind = 2;

-- One row per match, with the side of the order that came to the book.
CREATE VIEW trades AS
SELECT e.partition,
       e.partition || '-' || e.trade                              AS trade_id,
       i.symbol,
       trim_scale(e.price * i.tick_size)                          AS price,
       trim_scale(e.quantity * i.lot_size)                        AS quantity,
       CASE e.side WHEN 1 THEN 'buy' ELSE 'sell' END              AS side,
       e.sequence,
       e.event_index,
       e.time_ns
  FROM events e
  JOIN instruments i ON i.partition = e.partition AND i.id = e.symbol
 WHERE e.kind = 2 AND e.flags & 2 = 0;

-- One row per accepted order: its ACCEPTED event `a`, whose sequence is the order's, joined with its whole chain `e`.
-- `e.sequence >= a.sequence` says what is true anyway; it lets an order of today be found along the key.
CREATE VIEW orders AS
WITH chains AS (
    SELECT a.partition,
           a.sequence                                             AS order_sequence,
           a.text                                                 AS client_order_id,
           c.account,
           i.symbol,
           i.tick_size,
           i.lot_size,
           a.side,
           a.type,
           a.tif,
           a.flags,
           a.time_ns                                              AS created_ns,
           max(ARRAY[e.sequence, e.price, e.quantity]) FILTER (WHERE e.kind IN (1, 4)) AS wanted,
           coalesce(sum(e.quantity) FILTER (WHERE e.kind = 2), 0) AS filled,
           sum(e.quantity * e.price::numeric) FILTER (WHERE e.kind = 2) AS paid,
           max(e.reason) FILTER (WHERE e.kind = 3)                AS cancelled,
           max(e.sequence)                                        AS sequence,
           max(e.time_ns)                                         AS updated_ns
      FROM events a
      JOIN events e ON e.partition = a.partition AND e.order_sequence = a.sequence
                   AND e.sequence >= a.sequence AND e.kind IN (1, 2, 3, 4)
      JOIN instruments i ON i.partition = a.partition AND i.id = a.symbol
      JOIN accounts c ON c.partition = a.partition AND c.id = a.account
     WHERE a.kind = 1
     GROUP BY a.partition, a.sequence, a.text, c.account, i.symbol, i.tick_size, i.lot_size,
              a.side, a.type, a.tif, a.flags, a.time_ns
)
SELECT partition,
       order_sequence,
       partition || '-' || order_sequence                         AS order_id,
       client_order_id,
       account,
       symbol,
       CASE side WHEN 1 THEN 'buy' ELSE 'sell' END                AS side,
       CASE type WHEN 1 THEN 'limit' ELSE 'market' END            AS type,
       CASE tif WHEN 1 THEN 'GTC' WHEN 2 THEN 'IOC' ELSE 'FOK' END AS time_in_force,
       CASE type WHEN 1 THEN trim_scale(wanted[2] * tick_size) END AS price,
       trim_scale(wanted[3] * lot_size)                           AS quantity,
       trim_scale(filled * lot_size)                              AS filled_quantity,
       CASE WHEN cancelled IS NULL THEN trim_scale((wanted[3] - filled) * lot_size) ELSE 0 END AS leaves_quantity,
       -- rounded half up to eight digits more than the tick has, as stack/wire/order.py does
       trim_scale(round(paid * tick_size / filled, scale(tick_size) + 8)) AS average_price,
       CASE WHEN cancelled IS NOT NULL THEN 'cancelled'
            WHEN filled = wanted[3] THEN 'filled'
            WHEN filled > 0 THEN 'partially_filled'
            ELSE 'open' END                                       AS status,
       sequence,
       created_ns,
       updated_ns,
       flags & 1 = 1                                              AS post_only,
       CASE cancelled WHEN 64 THEN 'by_client' WHEN 65 THEN 'unfilled_rest'
                      WHEN 66 THEN 'fok_not_fillable' WHEN 67 THEN 'mass_cancel' END AS reason
  FROM chains;

-- The events of one order, oldest first. Walks the key from the order's own event, day by day, and stops where the order
-- was closed: without an index, an order costs what happened while it lived. Of an order that still lives the engine knows
-- more and sooner.
CREATE FUNCTION order_events(in_partition integer, in_order bigint) RETURNS SETOF events
LANGUAGE plpgsql STABLE AS $$
DECLARE
    event events;
    day   bigint;
    ended bigint;
BEGIN
    SELECT e.time_ns INTO day FROM events e
     WHERE e.partition = in_partition AND e.sequence = in_order AND e.order_sequence = in_order AND e.kind = 1;
    SELECT c.time_ns INTO ended FROM checkpoint c WHERE c.partition = in_partition;
    WHILE day IS NOT NULL AND day <= ended LOOP
        day := day - day % 86400000000000;
        FOR event IN
            SELECT e.* FROM events e
             WHERE e.partition = in_partition AND e.order_sequence = in_order AND e.sequence >= in_order
               AND e.kind IN (1, 2, 3, 4) AND e.time_ns >= day AND e.time_ns < day + 86400000000000
             ORDER BY e.sequence, e.event_index
        LOOP
            RETURN NEXT event;
            IF event.leaves = 0 THEN
                RETURN;
            END IF;
        END LOOP;
        day := day + 86400000000000;
    END LOOP;
END
$$;
