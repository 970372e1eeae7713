"""What the ledger in Redis does there, each in one step: Lua scripts.

A period is a hash that ends some time after the period does. Its `era` is the one in which it was begun: whoever could not reach
Redis for a while begins a new era, in which no period of before is believed. Numbers go as text into HINCRBY, which is exact;
Lua's own numbers are so up to 2^53.
"""

GIVE_BACK = """
local function give_back(holds, expiries, id)
  local text = redis.call('HGET', holds, id)
  redis.call('ZREM', expiries, id)
  if not text then return {tokens = 0, money = 0} end
  redis.call('HDEL', holds, id)
  local hold = cjson.decode(text)
  for _, period in ipairs(hold.periods) do
    if redis.call('HGET', period, 'era') == hold.era then
      if hold.tokens ~= '0' then redis.call('HINCRBY', period, 'held_tokens', '-' .. hold.tokens) end
      if hold.money ~= '0' then redis.call('HINCRBY', period, 'held_money', '-' .. hold.money) end
    end
  end
  return hold
end
"""

# KEYS: era, holds, expiries, a period for each cap. ARGV: id, now, expires at, tokens, money, and for each cap: when its hash ends,
# most requests, tokens and money, and the tokens and money that were used before it was opened here ('' where not known).
# A hold that nobody settled in time counts as it was reserved. Returns {'taken'}, {'unopened'} or {'full', then the amounts of each period}.
RESERVE = GIVE_BACK + """
local id, now, expires_at, tokens, money = unpack(ARGV, 1, 5)
local era = redis.call('GET', KEYS[1]) or '0'
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  local hold = give_back(KEYS[2], KEYS[3], gone)
  for _, period in ipairs(hold.periods or {}) do
    if redis.call('HGET', period, 'era') == hold.era then
      redis.call('HINCRBY', period, 'tokens', hold.tokens)
      redis.call('HINCRBY', period, 'money', hold.money)
    end
  end
end
local unopened, full, amounts, periods = false, false, {}, {}
for i = 4, #KEYS do
  local key, at = KEYS[i], 6 + (i - 4) * 6
  local ends_at, most_requests, most_tokens, most_money, used_tokens, used_money = unpack(ARGV, at, at + 5)
  periods[i - 3] = key
  if redis.call('HGET', key, 'era') ~= era then
    redis.call('DEL', key)
    redis.call('HSET', key, 'era', era, 'requests', 0, 'tokens', 0, 'money', 0, 'held_tokens', 0, 'held_money', 0)
    redis.call('EXPIREAT', key, ends_at)
  end
  if redis.call('HEXISTS', key, 'opened') == 0 then
    if used_tokens == '' then
      unopened = true
    else
      redis.call('HINCRBY', key, 'tokens', used_tokens)
      redis.call('HINCRBY', key, 'money', used_money)
      redis.call('HSET', key, 'opened', 1)
    end
  end
  local found = redis.call('HMGET', key, 'requests', 'tokens', 'money', 'held_tokens', 'held_money')
  for _, amount in ipairs(found) do amounts[#amounts + 1] = amount end
  full = full or found[1] + 1 > tonumber(most_requests) or found[2] + found[4] + tokens > tonumber(most_tokens)
      or found[3] + found[5] + money > tonumber(most_money)
end
if unopened then return {'unopened'} end
if full then return {'full', unpack(amounts)} end
for _, key in ipairs(periods) do
  redis.call('HINCRBY', key, 'requests', 1)
  redis.call('HINCRBY', key, 'held_tokens', tokens)
  redis.call('HINCRBY', key, 'held_money', money)
end
if tokens ~= '0' or money ~= '0' then
  redis.call('HSET', KEYS[2], id, cjson.encode({era = era, tokens = tokens, money = money, periods = periods}))
  redis.call('ZADD', KEYS[3], expires_at, id)
end
return {'taken'}
"""

# KEYS: a period. What was used in it is to be asked for again; what is held in it, and its requests, stay.
CLOSE = """
if redis.call('HDEL', KEYS[1], 'opened') == 1 then redis.call('HSET', KEYS[1], 'tokens', 0, 'money', 0) end
"""

# KEYS: era, holds, expiries, each period that the call may belong to. ARGV: id, the tokens and money that were used, '' for as many
# as were held, and 1 where they are exact: else at least as many count as were held.
SETTLE = GIVE_BACK + """
local id, tokens, money, exact = unpack(ARGV)
local era = redis.call('GET', KEYS[1]) or '0'
local hold = give_back(KEYS[2], KEYS[3], id)
local function counted(used, held)
  if used == '' or exact ~= '1' and tonumber(held) > tonumber(used) then return held end
  return used
end
tokens, money = counted(tokens, hold.tokens), counted(money, hold.money)
for i = 4, #KEYS do
  if redis.call('HGET', KEYS[i], 'era') == era then
    redis.call('HINCRBY', KEYS[i], 'tokens', tokens)
    redis.call('HINCRBY', KEYS[i], 'money', money)
  end
end
"""
