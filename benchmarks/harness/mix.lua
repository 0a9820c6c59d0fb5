-- The 512 order bodies that are sent in turn, from behind the client_order_id on.
local symbols = { "AAPL", "MSFT", "NVDA", "TSLA" }
local rests = {}
for i = 0, 511 do
  local pair, takes = math.floor(i / 2), i % 2 == 1
  local buy = (i + math.floor(pair / 4)) % 2 == 1
  local cents = takes and 32 or (pair * 7919) % 32 + 1
  if buy ~= takes then cents = -cents end
  rests[#rests + 1] = string.format(
    '","account":"demo","symbol":"%s","side":"%s","type":"limit","price":"%.2f","quantity":"%d","time_in_force":"%s"}',
    symbols[pair % 4 + 1], buy and "buy" or "sell", 100 + cents / 100, (takes and pair % 8 == 7) and 40 or 10,
    takes and "IOC" or "GTC")
end
return rests
