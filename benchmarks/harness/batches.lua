-- The same orders as orders.lua, BENCH_BATCH of them in one POST /orders/batch. A body is made once; for each request only the
-- number of the batch goes into its hundred ids, in one call, so that making bodies is not what is measured.
dofile(os.getenv("BENCH_REPORT"))
local key = os.getenv("HFTCTL_API_KEY")
local run, size = os.getenv("BENCH_RUN"), tonumber(os.getenv("BENCH_BATCH"))
local head = "POST /orders/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
if key and key ~= "" then head = head .. "Authorization: Bearer " .. key .. "\r\n" end
local rests = dofile(os.getenv("BENCH_MIX"))
local bodies = {}
for first = 0, 7 do -- eight bodies in turn, so that all of the mix comes
  local parts, open = {}, '[{"client_order_id":"' .. run .. "-"
  for i = 0, size - 1 do
    parts[#parts + 1] = open
    open = string.format("-%04d", i) .. rests[(first * size + i) % #rests + 1] .. ',{"client_order_id":"' .. run .. "-"
  end
  parts[#parts + 1] = string.sub(open, 1, -#(',{"client_order_id":"' .. run .. "-") - 1) .. "]"
  parts[1] = head .. "Content-Length: " .. #table.concat(parts, "0000000000") .. "\r\n\r\n" .. parts[1]
  bodies[first] = parts
end
local n = 0
function request()
  n = n + 1
  return table.concat(bodies[n % 8], string.format("%010d", n))
end
