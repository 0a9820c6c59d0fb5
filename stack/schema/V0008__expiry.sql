-- Orders that end by the clock: times in force 4 (DAY) and 5 (GTT), the reason 69, and when, which ACCEPTED has as its `trade`.
-- One row per accepted order: its ACCEPTED event `a`, whose sequence is the order's, joined with its whole chain `e`.
-- `e.sequence >= a.sequence` says what is true anyway; it lets an order of today be found along the key.
CREATE OR REPLACE VIEW orders AS
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
           a.trade                                                AS expires,
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
              a.side, a.type, a.tif, a.flags, a.time_ns, a.trade
)
SELECT partition,
       order_sequence,
       partition || '-' || order_sequence                         AS order_id,
       client_order_id,
       account,
       symbol,
       CASE side WHEN 1 THEN 'buy' ELSE 'sell' END                AS side,
       CASE type WHEN 1 THEN 'limit' ELSE 'market' END            AS type,
       CASE tif WHEN 1 THEN 'GTC' WHEN 2 THEN 'IOC' WHEN 3 THEN 'FOK' WHEN 4 THEN 'DAY' ELSE 'GTT' END AS time_in_force,
       CASE type WHEN 1 THEN trim_scale(wanted[2] * tick_size) END AS price,
       trim_scale(wanted[3] * lot_size)                           AS quantity,
       trim_scale(filled * lot_size)                              AS filled_quantity,
       CASE WHEN cancelled IS NULL THEN trim_scale((wanted[3] - filled) * lot_size) ELSE 0 END AS leaves_quantity,
       -- rounded half up to eight digits more than the tick has, as stack/wire/order.py does
       trim_scale(round(paid * tick_size / filled, scale(tick_size) + 8)) AS average_price,
       CASE WHEN cancelled = 69 THEN 'expired'
            WHEN cancelled IS NOT NULL THEN 'cancelled'
            WHEN filled = wanted[3] THEN 'filled'
            WHEN filled > 0 THEN 'partially_filled'
            ELSE 'open' END                                       AS status,
       sequence,
       created_ns,
       updated_ns,
       flags & 1 = 1                                              AS post_only,
       CASE cancelled WHEN 64 THEN 'by_client' WHEN 65 THEN 'unfilled_rest'
                      WHEN 66 THEN 'fok_not_fillable' WHEN 67 THEN 'mass_cancel'
                      WHEN 68 THEN 'self_trade' WHEN 69 THEN 'expired' END AS reason,
       -- what goes where it would meet an order of its own account; null: they trade
       CASE flags & 12 WHEN 4 THEN 'cancel_newest' WHEN 8 THEN 'cancel_oldest' WHEN 12 THEN 'cancel_both' END AS self_trade,
       nullif(expires, 0)                                         AS expires_ns -- when it ends by the clock; null: not
  FROM chains;
