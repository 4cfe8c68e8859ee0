
-- Collections: items with keys in rooms of the channel sync. A write changes the items and appends to the log as one step
-- (docs/collections.md; docs/publishing.md is the contract with publishers). Stands behind roomcast.lua, whose functions it uses.

local ITEM_KEY_BYTES_MAX = 128
local ITEM_BYTES_MAX = @ITEM_BYTES_MAX@
local ITEM_DEPTH_MAX = @ITEM_DEPTH_MAX@
local ITEMS_MAX = @ITEMS_MAX@
local COLLECTION_BYTES_MAX = @COLLECTION_BYTES_MAX@
local COLLECTIONS_MAX = @COLLECTIONS_MAX@
local TOMBSTONES_MAX = @TOMBSTONES_MAX@
local TOMBSTONE_MS = @TOMBSTONE_MS@
local ITEMS_BATCH = 100
-- What the publication of a change has besides the value: the key, each byte of which may be escaped by six, and the version.
local CHANGE_BYTES_MAX = 6 * ITEM_KEY_BYTES_MAX + 64
local OPS = { insert = true, update = true, delete = true, put = true }

-- Where a collection's parts are kept. The room comes last in each name, so that no two rooms can share a key.
local function places(base, room)
  return {
    -- key → "<version> <value>"
    items = base .. ':sync:items:' .. room,
    -- The keys once more, all of one score: in the order of their bytes.
    order = base .. ':sync:order:' .. room,
    -- Deleted keys by the versions of their deletions.
    gone = base .. ':sync:gone:' .. room,
    -- v: the last version; b: bytes of all keys and values.
    tally = base .. ':sync:tally:' .. room,
  }
end

-- Whether the text is UTF-8 (RFC 3629): whole characters are taken out, and nothing but ASCII may be left.
local function is_utf8(text)
  if not string.find(text, '[\128-\255]') then
    return true
  end
  for _, character in ipairs({
    '[\194-\223][\128-\191]',
    '\224[\160-\191][\128-\191]', '[\225-\236\238-\239][\128-\191][\128-\191]', '\237[\128-\159][\128-\191]',
    '\240[\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
  }) do
    -- A space in their place keeps what stood on both sides apart.
    text = string.gsub(text, character, ' ')
  end
  return not string.find(text, '[\128-\255]')
end

local WRITE_CHECKS = {
  value = function(value)
    if #value == 0 or #value > ITEM_BYTES_MAX then
      return 'the value of an item is at most ' .. ITEM_BYTES_MAX .. ' bytes'
    end
  end,
  if_version = function(value)
    if not string.find(value, '^%d+$') or #value > 16 or (#value > 1 and string.sub(value, 1, 1) == '0') then
      return 'if_version is a version of the item, a whole number'
    end
  end,
  idempotency_key = CHECKS.idempotency_key,
  checked = CHECKS.checked,
}

local function check_write(base, args)
  local room, op, key = args[1], args[2], args[3]
  local org = string.match(base, '{([%w_.@-]+)}$')
  if not org then
    return 'the key ends with the org in braces, as in rc:{acme}'
  end
  if not key then
    return 'the arguments are room, op, key and options'
  end
  local wrong = check_room(room, org)
  if wrong then
    return wrong
  end
  if string.sub(room, 1, 5) ~= 'sync:' then
    return 'collections lie in rooms of the channel sync, as in sync:acme:tasks'
  end
  if not OPS[op] then
    return 'op is insert, update, delete or put'
  end
  if #key == 0 or #key > ITEM_KEY_BYTES_MAX or not is_utf8(key) then
    return 'the key of an item is 1 to 128 bytes of UTF-8'
  end
end

local function check_value(op, options)
  if op == 'insert' and options.if_version then
    return 'an insert has no if_version: it is for a key that does not exist'
  end
  if op == 'delete' then
    options.value = nil
  elseif not options.value then
    return op .. ' needs a value'
  elseif options.checked ~= '1' then
    local is_json, value = pcall(cjson.decode, options.value)
    if not is_json or not is_utf8(options.value) or is_deeper(value, ITEM_DEPTH_MAX) then
      return 'the value is not one JSON value of at most ' .. ITEM_DEPTH_MAX .. ' levels'
    end
  end
end

-- Whether the caller may do all that follows the append, so that nothing of a write is done unless all of it can be.
local function may_write(to, base)
  for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM', 'ZREMRANGEBYRANK', 'ZREMRANGEBYSCORE', 'PEXPIRE', 'PERSIST', 'DEL', 'SET' }) do
    if not redis.acl_check_cmd(command, to.items, '0', '0') then
      return redis.error_reply('NOPERM a write to a collection needs ' .. command)
    end
  end
end

local function conflicts(op, version, options)
  if options.if_version and options.if_version ~= version then
    return true
  end
  return (op == 'insert' and version ~= nil) or (op == 'update' and version == nil)
end

-- Whether the collection, which has no items yet, may begin to hold some. Those that are empty again stand in the list with the time
-- since when; the oldest of them makes way, with what it remembers.
local function has_place(base, room)
  local list = base .. ':sync:rooms'
  if redis.call('ZSCORE', list, room) or redis.call('ZCARD', list) < COLLECTIONS_MAX then
    return true
  end
  local oldest = redis.call('ZRANGE', list, 0, 0, 'WITHSCORES')
  if oldest[2] == 'inf' then
    return false
  end
  local its = places(base, oldest[1])
  redis.call('ZREM', list, oldest[1])
  redis.call('DEL', its.gone, its.tally)
  return true
end

local function item_bytes(key, stored)
  -- What stands before the value is the version and a space.
  return stored and #key + #stored - (string.find(stored, ' ', 1, true) or 0) or 0
end

-- Takes the change over into the items; `stored` is what stood there.
local function apply(base, room, to, key, version, value, stored, bytes)
  local list = base .. ':sync:rooms'
  if value then
    redis.call('HSET', to.items, key, version .. ' ' .. value)
    if not stored then
      redis.call('ZADD', to.order, 0, key)
      redis.call('ZREM', to.gone, key)
      if redis.call('HLEN', to.items) == 1 then
        redis.call('ZADD', list, 'inf', room)
        -- What holds items stays; what holds none is forgotten once its deletions may be.
        redis.call('PERSIST', list)
        redis.call('PERSIST', to.gone)
        redis.call('PERSIST', to.tally)
      end
    end
    redis.call('HSET', to.tally, 'v', version, 'b', whole(bytes))
    return
  end
  redis.call('HDEL', to.items, key)
  redis.call('ZREM', to.order, key)
  redis.call('ZADD', to.gone, version, key)
  redis.call('ZREMRANGEBYRANK', to.gone, 0, -1 - TOMBSTONES_MAX)
  -- Versions are times in microseconds.
  redis.call('ZREMRANGEBYSCORE', to.gone, '-inf', '(' .. whole(tonumber(version) - TOMBSTONE_MS * 1000))
  redis.call('HSET', to.tally, 'v', version, 'b', whole(bytes))
  if redis.call('EXISTS', to.items) == 0 then
    redis.call('ZADD', list, version, room)
    if redis.call('ZCOUNT', list, 'inf', 'inf') == 0 then
      redis.call('PEXPIRE', list, TOMBSTONE_MS)
    end
    redis.call('PEXPIRE', to.gone, TOMBSTONE_MS)
    redis.call('PEXPIRE', to.tally, TOMBSTONE_MS)
  end
end

-- KEYS: the org's base key and its log, as for publish. ARGV: room, op, key, then options as pairs. Answers
-- ['written', version, position, duplicate, key] or ['conflict', version, value, version of the deletion], with '' for what is not there.
local function sync(keys, args)
  local base, room, op, key = keys[1], args[1], args[2], args[3]
  local wrong = lacks_log(keys) or check_write(base, args)
  if wrong then
    return refuse(wrong)
  end
  local options, bad_option = read_options(args, WRITE_CHECKS, 'value, if_version, idempotency_key, checked')
  wrong = bad_option or check_value(op, options)
  if wrong then
    return refuse(wrong)
  end
  local idem = options.idempotency_key and base .. ':sync:idem:' .. options.idempotency_key
  local earlier = idem and redis.call('GET', idem)
  if earlier then
    -- The write gives WAIT something to wait for that comes after the first one.
    redis.call('PEXPIRE', base .. ':epoch', IDLE_MS)
    local version, position, its_key = string.match(earlier, '^(%d+) (%S*) (.*)$')
    return { 'written', version, position, 1, its_key }
  end
  local to = places(base, room)
  local denied = may_write(to, base)
  if denied then
    return denied
  end
  local stored = redis.call('HGET', to.items, key)
  local version, value
  if stored then
    version, value = string.match(stored, '^(%d+) (.*)$')
  end
  if conflicts(op, version, options) then
    return { 'conflict', version or '', value or '', not version and redis.call('ZSCORE', to.gone, key) or '' }
  end
  local tally = redis.call('HMGET', to.tally, 'v', 'b')
  local last = tonumber(tally[1] or '0')
  local function written(at_version, position)
    if idem then
      redis.call('SET', idem, at_version .. ' ' .. position .. ' ' .. key, 'PX', IDEMPOTENCY_MS)
    end
    return { 'written', at_version, position, 0, key }
  end
  if op == 'delete' and not stored then
    return written(whole(last), '')
  end
  local count = redis.call('HLEN', to.items)
  local bytes = (count > 0 and tonumber(tally[2] or '0') or 0) - item_bytes(key, stored)
  if options.value then
    bytes = bytes + #key + #options.value
    if #options.value + CHANGE_BYTES_MAX > DATA_BYTES_MAX then
      return refuse('with its change the value would be larger than data may be, ' .. DATA_BYTES_MAX .. ' bytes')
    end
    if not stored and count >= ITEMS_MAX then
      return redis.error_reply('FULL the collection has its full number of ' .. ITEMS_MAX .. ' items')
    end
    if bytes > COLLECTION_BYTES_MAX then
      return redis.error_reply('FULL the collection would be larger than ' .. COLLECTION_BYTES_MAX .. ' bytes')
    end
    if count == 0 and not has_place(base, room) then
      return redis.error_reply('FULL the organization has its full number of ' .. COLLECTIONS_MAX .. ' collections')
    end
  end
  local failure = charge(base, #key + (options.value and #options.value or 0), now_us())
  if failure then
    return failure
  end
  local at_us
  at_us, failure = past_fence(base, now_us())
  if not at_us then
    return failure
  end
  -- The time makes versions grow past those of a store that was lost, or of a primary whose last writes were, too.
  local new_version = whole(math.max(last + 1, at_us))
  local event = op == 'delete' and 'sync:delete' or stored and 'sync:update' or 'sync:insert'
  local data = '{"key":' .. cjson.encode(key) .. ',"version":' .. new_version
  data = data .. (options.value and ',"value":' .. options.value or '') .. '}'
  local position
  position, failure = append(base, room .. ' ' .. event, data, at_us)
  if not position then
    return failure
  end
  apply(base, room, to, key, new_version, options.value, stored, bytes)
  return written(new_version, position)
end

-- ARGV: room, the key before the first ('' for the beginning), items at most, bytes at most. Begins the log when there is none. Answers
-- [epoch, last number, its check as hex, 1 when there are more, [key, "<version> <value>", …]]; whoever reads it judges what stands there.
local function items(keys, args)
  local items_max, bytes_max = tonumber(args[3]), tonumber(args[4])
  local log = open(keys)
  if not log or log.err then
    return log or refuse('the log cannot be begun')
  end
  local from = places(keys[1], args[1])
  local out, count, bytes = {}, 0, 0
  local lowest = args[2] == '' and '-' or '(' .. args[2]
  while true do
    -- One more than wanted tells whether there are more.
    local batch = math.min(ITEMS_BATCH, items_max - count + 1)
    local names = redis.call('ZRANGEBYLEX', from.order, lowest, '+', 'LIMIT', 0, batch)
    local found = #names > 0 and redis.call('HMGET', from.items, unpack(names)) or {}
    for index, name in ipairs(names) do
      local stored = found[index] or ''
      bytes = bytes + item_bytes(name, stored)
      if count == items_max or (count > 0 and bytes > bytes_max) then
        return { log[1], log[2], log[3], 1, out }
      end
      count = count + 1
      out[2 * count - 1] = name
      out[2 * count] = stored
    end
    if #names < batch then
      return { log[1], log[2], log[3], 0, out }
    end
    lowest = '(' .. names[#names]
  end
end
