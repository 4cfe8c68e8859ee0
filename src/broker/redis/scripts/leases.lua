
-- A node's count of connections of one org, kept until its lease runs out. KEYS: the org's counts. ARGV: node, version, count,
-- most over all nodes (0: no limit), lease in ms. A later version of the same node's count is not overwritten by an earlier one. The other
-- nodes' counts are only looked at where the limit asks for them, and when a node is new here, to clear away those that ran out: renewals are
-- many, and must not cost more the more nodes an org is on.
local function lease(keys, args)
  local key, node, version, count, most = keys[1], args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local at_ms = now_ms()
  local total, newer = count, false
  local own = redis.call('HGET', key, node)
  local fields = (most > 0 or not own) and redis.call('HGETALL', key) or { node, own }
  for index = 1, #fields, 2 do
    local held, expires, held_version = string.match(fields[index + 1], '^(%d+):(%d+):(%d+)$')
    if not held or tonumber(expires) < at_ms then
      redis.call('HDEL', key, fields[index])
    elseif fields[index] == node then
      newer = tonumber(held_version) > version
    else
      total = total + tonumber(held)
    end
  end
  if most > 0 and total > most then
    return 0
  end
  if not newer then
    if count == 0 then
      redis.call('HDEL', key, node)
    else
      redis.call('HSET', key, node, args[3] .. ':' .. whole(at_ms + tonumber(args[5])) .. ':' .. args[2])
      redis.call('PEXPIRE', key, tonumber(args[5]) * 2)
    end
  end
  return 1
end

-- KEYS: the registry. ARGV: node, lease in ms, what the node says of itself; a lease of 0 leaves.
local function register(keys, args)
  if args[2] == '0' then
    return redis.call('HDEL', keys[1], args[1])
  end
  return redis.call('HSET', keys[1], args[1], whole(now_ms() + tonumber(args[2])) .. ' ' .. args[3])
end

-- KEYS: the registry. Answers what the nodes with a running lease say of themselves.
local function nodes(keys)
  local at_ms, out = now_ms(), {}
  local fields = redis.call('HGETALL', keys[1])
  for index = 1, #fields, 2 do
    local expires, info = string.match(fields[index + 1], '^(%d+) (.*)$')
    if expires and tonumber(expires) >= at_ms then
      out[#out + 1] = info
    else
      redis.call('HDEL', keys[1], fields[index])
    end
  end
  return out
end

-- KEYS: the registry. ARGV: the version of who asks. Answers of which version these functions are, and the latest that a node with a running
-- lease brings along; that is only looked for where the two differ.
local function version(keys, args)
  local latest = 0
  if tonumber(args[1]) == VERSION then
    return { VERSION, VERSION }
  end
  for _, info in ipairs(nodes(keys)) do
    latest = math.max(latest, tonumber(string.match(info, '"functions":(%d+)')) or 0)
  end
  return { VERSION, latest }
end

-- KEYS: the revocations. ARGV: target as JSON, entries at most, age at most in ms, how long ago in ms it was asked for or else since when
-- it holds in Unix ms (the other one is empty). Answers since when it holds.
local function revoke(keys, args)
  local written_ms = now_ms()
  local at_ms = args[5] ~= '' and args[5] or whole(math.max(0, written_ms - tonumber(args[4])))
  redis.call('XADD', keys[1], 'MAXLEN', '~', args[2], '*', 'at_ms', at_ms, 'target', args[1])
  redis.call('XTRIM', keys[1], 'MINID', '~', whole(math.max(0, written_ms - tonumber(args[3]))) .. '-0')
  return at_ms
end

-- Takes or renews a lease on something that one node at a time may do. KEYS: the lease. ARGV: node, lease in ms (0: give up).
-- Answers 1 to the holder who had it before, 2 to a new holder, 0 to everyone else.
local function own(keys, args)
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= args[1] then
    return 0
  end
  if args[2] == '0' then
    redis.call('DEL', keys[1])
    return 0
  end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  return holder and 1 or 2
end
