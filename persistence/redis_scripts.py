"""What Redis does with the hot state at once: see `redis_hot_state`, which has the keys.

Redis runs one script at a time, and nothing between its first and its last line.
"""

_MARK = """
local function mark_of(seqs)
  local e, o, n = string.match(redis.call('HGET', seqs, '') or '', '^(%d+) (%d+) (%d+)$')
  return tonumber(e), tonumber(o), tonumber(n)
end
local function whole(seqs, deadlines, offset, listed)
  return redis.call('HLEN', seqs) == listed + 1
    and tonumber(redis.call('ZSCORE', deadlines, '') or -1) == offset
end
local function held(game)
  local head = redis.call('GETRANGE', 'game:' .. game, 0, 15)
  if #head == 16 then return struct.unpack('>I8I8', head) end
  return -1, -1
end
local function fields(blob, each)
  local at = 1
  return function()
    if at <= #blob then
      local row, field = {}, nil
      for i = 1, each do
        field, at = struct.unpack('>I4c0', blob, at)
        row[i] = field
      end
      return row
    end
  end
end
"""
"""What is common to them. `fields` cuts what `redis_hot_state` joined, each behind its length."""

READ = (
    _MARK
    + """
local seqs, deadlines = KEYS[1], KEYS[2]
local epoch, offset, listed = mark_of(seqs)
if not epoch or not whole(seqs, deadlines, offset, listed) then return false end
local games = redis.call('HGETALL', seqs)
for i = 1, #games, 2 do
  if games[i] ~= '' then
    local _, seq = held(games[i])
    if seq < tonumber(games[i + 1]) then return false end
  end
end
return {epoch, offset, listed, cmsgpack.pack(games),
  cmsgpack.pack(redis.call('ZRANGE', deadlines, 0, -1, 'WITHSCORES'))}
"""
)

WRITE = (
    _MARK
    + """
local seqs, deadlines = KEYS[1], KEYS[2]
local epoch, offset, base = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local e, o, n = mark_of(seqs)
if e and (e > epoch or (e == epoch and o > offset)) then return -1 end
if base == '' then
  redis.call('DEL', seqs, deadlines)
elseif not e or base ~= string.format('%.0f %.0f %.0f', e, o, n)
    or not whole(seqs, deadlines, o, n) then
  return 0
end
for each in fields(ARGV[6], 2) do redis.call('ZADD', deadlines, each[2], each[1]) end
for each in fields(ARGV[4], 6) do
  local game, seq, value, listed, deadline, ttl = unpack(each)
  local there_epoch, there_seq = held(game)
  if there_epoch < epoch or (there_epoch == epoch and there_seq <= tonumber(seq)) then
    redis.call('SET', 'game:' .. game, value, 'EX', ttl)
  end
  if listed == '1' then
    redis.call('HSET', seqs, game, seq)
  else
    redis.call('HDEL', seqs, game)
  end
  if deadline ~= '' then
    redis.call('ZADD', deadlines, deadline, game)
  else
    redis.call('ZREM', deadlines, game)
  end
end
for each in fields(ARGV[5], 1) do redis.call('HDEL', seqs, each[1]) end
redis.call('HDEL', seqs, '')
local now = redis.call('HLEN', seqs)
redis.call('HSET', seqs, '', ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. string.format('%.0f', now))
redis.call('ZADD', deadlines, ARGV[2], '')
return now + 1
"""
)

DROP = (
    _MARK
    + """
local e, o = mark_of(KEYS[1])
if e == tonumber(ARGV[1]) and o == tonumber(ARGV[2]) then
  for _, game in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('DEL', 'game:' .. game) end
  redis.call('DEL', KEYS[1], KEYS[2])
end
"""
)
