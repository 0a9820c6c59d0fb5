-- Orders that can come for ever: of every two, the first rests and the second (IOC) takes the best of that side, whatever it
-- is; every eighth taker is four times as large and sweeps what takers left that came before their makers. So books stay about
-- as small as the number of connections. Four symbols in turn, makers on 32 prices a side; every client_order_id once.
-- BENCH_RUN makes the ids of a run its own. The same bytes for every design.
dofile(os.getenv("BENCH_REPORT"))
local key = os.getenv("HFTCTL_API_KEY")
local run = os.getenv("BENCH_RUN")
local head = "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
if key and key ~= "" then head = head .. "Authorization: Bearer " .. key .. "\r\n" end
local rests = dofile(os.getenv("BENCH_MIX"))
local count = #rests
local before, after = {}, {}
for i = 1, count do
  local length = #('{"client_order_id":"' .. run .. "-0000000000" .. rests[i])
  before[i] = head .. "Content-Length: " .. length .. '\r\n\r\n{"client_order_id":"' .. run .. "-"
  after[i] = rests[i]
end
local n = 0
function request()
  local i = n % count + 1
  n = n + 1
  return before[i] .. string.format("%010d", n) .. after[i]
end
