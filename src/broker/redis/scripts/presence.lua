
-- Presence (src/broker/presence.rs tells what is kept and how it is spelled). One hash of leases per org, one hash of stays per
-- room, in which '#' is the number of the last change. Every key that a call touches is among its KEYS, so that a Cluster which
-- moves the slot answers TRYAGAIN instead of keeping half of them here and half there.

local PRESENCE_IDLE_MS = 3600000
local PRESENCE_EMPTY_MS = 60000

-- Names the data of this server: another one after a restart, or when another server has taken its place.
local function history()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

local function owners(key)
  local at_ms, running = now_ms(), {}
  local fields = redis.call('HGETALL', key)
  for index = 1, #fields, 2 do
    if tonumber(fields[index + 1]) >= at_ms then
      running[fields[index]] = true
    else
      redis.call('HDEL', key, fields[index])
    end
  end
  return running
end

local function names(running)
  local out = {}
  for owner in pairs(running) do
    out[#out + 1] = owner
  end
  return out
end

-- The number of a room's last change. Numbers begin with the time, so that those of a room that was lost are not used again.
local function counted(key)
  local seq = redis.call('HGET', key, '#')
  if not seq then
    seq = whole(now_us())
    redis.call('HSET', key, '#', seq)
    redis.call('PEXPIRE', key, PRESENCE_EMPTY_MS)
  end
  return tonumber(seq)
end

-- Notes the changes of a room, and tells them.
local function tell(lease_key, key, before, seq, lines)
  redis.call('HSET', key, '#', whole(seq))
  redis.call('PEXPIRE', key, redis.call('HLEN', key) > 1 and PRESENCE_IDLE_MS or PRESENCE_EMPTY_MS)
  local base = string.sub(lease_key, 1, -#':presence' - 1)
  local room = string.sub(key, #lease_key + 2)
  redis.call(PUBLISH, base .. ':bus', '~ ' .. room .. ' ' .. whole(before) .. '\n' .. table.concat(lines, '\n') .. '\n')
end

-- KEYS: the leases, the rooms. ARGV: owner, 1 if its lease must be running, lease in ms, sessions in a room at most; then per change
-- which of the rooms, session, its stay (nothing: it leaves), 1 if it was admitted before. Answers 1 for what is done and 0 for
-- what finds the room full.
local function presence_change(keys, args)
  local lease_key, owner, most = keys[1], args[1], tonumber(args[4])
  local expires = redis.call('HGET', lease_key, owner)
  if (expires and tonumber(expires) < now_ms()) or (not expires and args[2] == '1') then
    return redis.error_reply('LAPSED the lease has run out')
  end
  redis.call('HSET', lease_key, owner, whole(now_ms() + tonumber(args[3])))
  redis.call('PEXPIRE', lease_key, PRESENCE_IDLE_MS)
  local rooms, out = {}, {}
  for index = 5, #args, 4 do
    local key, session, stay = keys[tonumber(args[index]) + 2], args[index + 1], args[index + 2]
    local room = rooms[key]
    if not room then
      local before = counted(key)
      room = { before = before, seq = before, lines = {} }
      rooms[key] = room
    end
    local known = redis.call('HGET', key, session)
    local verdict = 1
    if stay == '' then
      if known then
        redis.call('HDEL', key, session)
        room.seq = room.seq + 1
        room.lines[#room.lines + 1] = session
      end
    elseif not known and args[index + 3] ~= '1' and redis.call('HLEN', key) > most then
      verdict = 0
    elseif not known or string.match(known, '^%d+ (.*)$') ~= stay then
      room.seq = room.seq + 1
      local told = whole(room.seq) .. ' ' .. stay
      redis.call('HSET', key, session, told)
      room.lines[#room.lines + 1] = session .. ' ' .. told
    end
    out[#out + 1] = verdict
  end
  for key, room in pairs(rooms) do
    if #room.lines > 0 then
      tell(lease_key, key, room.before, room.seq, room.lines)
    end
  end
  return out
end

-- KEYS: the leases, the room. Answers [number, [owners whose leases run], [session, stay, …]].
local function presence_read(keys)
  local seq, out = counted(keys[2]), {}
  local fields = redis.call('HGETALL', keys[2])
  for index = 1, #fields, 2 do
    if fields[index] ~= '#' then
      out[#out + 1] = fields[index]
      out[#out + 1] = fields[index + 1]
    end
  end
  return { whole(seq), names(owners(keys[1])), out }
end

-- KEYS: the leases, rooms. ARGV: owner (nothing: none), lease in ms.
-- Answers [history, 1 if the owner's lease ran, [owners whose leases run], [number of each room's last change, or nothing]].
local function presence_keep(keys, args)
  local running, seqs = owners(keys[1]), {}
  local held = args[1] ~= '' and running[args[1]] or false
  if held then
    redis.call('HSET', keys[1], args[1], whole(now_ms() + tonumber(args[2])))
    redis.call('PEXPIRE', keys[1], PRESENCE_IDLE_MS)
  end
  for index = 2, #keys do
    local seq = redis.call('HGET', keys[index], '#')
    if seq then
      redis.call('PEXPIRE', keys[index], PRESENCE_IDLE_MS)
    end
    seqs[#seqs + 1] = seq or ''
  end
  return { history(), held and 1 or 0, names(running), seqs }
end

-- Takes out what is left of owners whose leases have run out. KEYS: the leases, the room. ARGV: the history that the caller knows.
local function presence_sweep(keys, args)
  if args[1] ~= history() then
    return 0
  end
  local running, lines = owners(keys[1]), {}
  local fields = redis.call('HGETALL', keys[2])
  for index = 1, #fields, 2 do
    local owner = string.match(fields[index + 1], '^%d+ (%x+) ')
    if fields[index] ~= '#' and not (owner and running[owner]) then
      redis.call('HDEL', keys[2], fields[index])
      lines[#lines + 1] = fields[index]
    end
  end
  if #lines > 0 then
    local before = counted(keys[2])
    tell(keys[1], keys[2], before, before + #lines, lines)
  end
  return #lines
end
