
-- Receipts of publications that ask to be acknowledged. A hash per publication: `nodes` (how many were listening), `due` (deadline in Unix
-- ms), `to` (the publisher, if there is a user), `done`, and `n:<node>` = matched:written:acked:expired:heard for each node that reported. Two
-- sorted sets per org: those that are not complete, by deadline, and all, by age.

local ACK_DEADLINE_MS = @ACK_DEADLINE_MS@
local RECEIPTS_KEPT_MS = @RECEIPTS_KEPT_MS@
local RECEIPTS_MAX = @RECEIPTS_MAX@
local SETTLED_AT_ONCE = @SETTLED_AT_ONCE@

local function receipt_key(base, position)
  return base .. ':receipt:' .. position
end

local function receipt_of(base, position)
  local fields = redis.call('HGETALL', receipt_key(base, position))
  if #fields == 0 then
    return nil
  end
  local receipt = { nodes = 0, due = 0, matched = 0, written = 0, acked = 0, expired = 0, heard = 0 }
  for index = 1, #fields, 2 do
    local name, value = fields[index], fields[index + 1]
    if string.sub(name, 1, 2) == 'n:' then
      local matched, written, acked, expired, heard = string.match(value, '^(%d+):(%d+):(%d+):(%d+):(%d)$')
      receipt.matched = receipt.matched + tonumber(matched)
      receipt.written = receipt.written + tonumber(written)
      receipt.acked = receipt.acked + tonumber(acked)
      receipt.expired = receipt.expired + tonumber(expired)
      receipt.heard = receipt.heard + tonumber(heard)
    elseif name == 'nodes' or name == 'due' then
      receipt[name] = tonumber(value)
    else
      receipt[name] = value
    end
  end
  receipt.outstanding = math.max(0, receipt.matched - receipt.acked - receipt.expired)
  return receipt
end

local function give_up(receipt)
  receipt.expired = receipt.expired + receipt.outstanding
  receipt.outstanding = 0
end

-- Completes receipts when that is due, once, and tells the publisher in the same step. Answers the receipts, or nil and a failure.
local function settle(base, position, at_us, forced)
  local receipt = receipt_of(base, position)
  if not receipt or receipt.done then
    redis.call('ZREM', base .. ':receipts:due', position)
    if receipt then
      give_up(receipt)
    end
    return receipt
  end
  local late = forced or at_us / 1000 >= receipt.due
  if not late and (receipt.outstanding > 0 or receipt.heard == 0 or receipt.heard < receipt.nodes) then
    return receipt
  end
  give_up(receipt)
  receipt.done = '1'
  if receipt.to then
    local org = string.match(base, '{([%w_.@-]+)}$')
    local data = string.format('{"id":"%s","matched":%.0f,"written":%.0f,"acked":%.0f,"outstanding":0,"expired":%.0f}',
      position, receipt.matched, receipt.written, receipt.acked, receipt.expired)
    local place, failure = append(base, 'user:' .. org .. ':' .. receipt.to .. ' @RECEIPT_EVENT@', data, at_us)
    if not place then
      return nil, failure
    end
  end
  redis.call('HSET', receipt_key(base, position), 'done', '1')
  redis.call('ZREM', base .. ':receipts:due', position)
  return receipt
end

-- Begins the receipts of an entry that was just appended, while `nodes` were listening. The entry stands whatever becomes of them: a publisher
-- whose ACL knows nothing of receipts has published all the same.
await_acks = function(base, position, nodes, to, at_us)
  local key, at_ms = receipt_key(base, position), math.floor(at_us / 1000)
  local due, all, kept_ms = base .. ':receipts:due', base .. ':receipts', ACK_DEADLINE_MS + RECEIPTS_KEPT_MS
  if type(redis.pcall('HSET', key, 'nodes', nodes, 'due', whole(at_ms + ACK_DEADLINE_MS))) == 'table' then
    return
  end
  if to then
    redis.call('HSET', key, 'to', to)
  end
  redis.call('PEXPIRE', key, kept_ms)
  redis.call('ZADD', due, whole(at_ms + ACK_DEADLINE_MS), position)
  redis.call('ZADD', all, whole(at_ms), position)
  redis.call('ZREMRANGEBYSCORE', all, '-inf', whole(at_ms - kept_ms))
  if redis.call('ZCARD', all) > RECEIPTS_MAX then
    local oldest = redis.call('ZPOPMIN', all)[1]
    settle(base, oldest, at_us, true)
    redis.call('ZREM', due, oldest)
    redis.call('DEL', receipt_key(base, oldest))
  end
  redis.call('PEXPIRE', due, kept_ms)
  redis.call('PEXPIRE', all, kept_ms)
end

-- What a node knows. ARGV: node, then position, matched, written, acked, expired, heard (0 or 1) of each publication. Counts only grow, so
-- whatever comes twice or late changes nothing.
local function report_receipts(keys, args)
  local base, field, at_us = keys[1], 'n:' .. args[1], now_us()
  for index = 2, #args, 6 do
    local position = args[index]
    local key = receipt_key(base, position)
    if redis.call('HEXISTS', key, 'due') == 1 and redis.call('HEXISTS', key, 'done') == 0 then
      local counts, earlier = {}, redis.call('HGET', key, field)
      for count in string.gmatch(earlier or '0:0:0:0:0', '%d+') do
        counts[#counts + 1] = whole(math.max(tonumber(count), tonumber(args[index + #counts + 1])))
      end
      redis.call('HSET', key, field, table.concat(counts, ':'))
      local _, failure = settle(base, position, at_us)
      if failure then
        return failure
      end
    end
  end
  return 1
end

-- Completes what is past its deadline.
local function settle_receipts(keys)
  local base, at_us = keys[1], now_us()
  local late = redis.call('ZRANGEBYSCORE', base .. ':receipts:due', '-inf', whole(at_us / 1000), 'LIMIT', 0, SETTLED_AT_ONCE)
  for _, position in ipairs(late) do
    local _, failure = settle(base, position, at_us)
    if failure then
      return failure
    end
  end
  return #late
end

-- ARGV: position. Answers [matched, written, acked, expired, complete, deadline], or false where there are none.
local function receipt(keys, args)
  local found, failure = settle(keys[1], args[1], now_us())
  if failure then
    return failure
  end
  if not found then
    return false
  end
  return { whole(found.matched), whole(found.written), whole(found.acked), whole(found.expired), found.done or '0', whole(found.due) }
end
