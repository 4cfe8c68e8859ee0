-- Everything that roomcast does to an org's log, atomically: one body, loaded as the function library "roomcast" and, where
-- functions are not to be had, as scripts (docs/publishing.md is the contract with publishers).
-- Words between @ signs are filled in from the node's configuration when it loads this.

local DATA_BYTES_MAX = @DATA_BYTES_MAX@
local ENTRIES_MAX = @ENTRIES_MAX@
local IDLE_MS = @IDLE_MS@
local IDEMPOTENCY_MS = @IDEMPOTENCY_MS@
local PUBLISH = '@PUBLISH@'
local CLUSTER = @CLUSTER@
local OPTION_BYTES_MAX = 8192
local KEY_BYTES_MAX = 256
local DEPTH_MAX = @DEPTH_MAX@
local READ_BATCH = 16
local TRIM_BATCH = 64
local TRIM_ROUNDS = 4
local SEQ_MAX = '18446744073709551615'
local PRIORITIES = { low = true, medium = true, high = true, urgent = true }
local RESERVED = { org = true, dept = true, queue = true }

local function refuse(why)
  return redis.error_reply('REFUSED ' .. why)
end

local function whole(number)
  return string.format('%.0f', number)
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- Names the history that this server's data comes from. It changes when a replica is promoted, and when a server without an
-- append-only file restarts; 'none' means that a restart keeps everything and no promotion has happened.
local function lineage()
  local replication = redis.call('INFO', 'replication')
  local replid2 = string.match(replication, 'master_replid2:(%x+)')
  local offset = string.match(replication, 'second_repl_offset:(%-?%d+)')
  local parts = {}
  if replid2 and string.find(replid2, '[^0]') and tonumber(offset) >= 0 then
    parts[#parts + 1] = 'p:' .. replid2 .. ':' .. offset
  end
  if string.find(redis.call('INFO', 'persistence'), 'aof_enabled:0', 1, true) then
    parts[#parts + 1] = 'r:' .. string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  end
  if #parts == 0 then
    return 'none'
  end
  return table.concat(parts, '/')
end

-- The lineage, asked at most once a second: only functions keep it between calls, and a server that has been a replica meanwhile
-- ran none of them.
local known_lineage, known_until_us = nil, 0

local function recent_lineage(at_us)
  if at_us >= known_until_us or at_us < known_until_us - 1000000 then
    known_lineage, known_until_us = lineage(), at_us + 1000000
  end
  return known_lineage
end

-- When each log's expiry was last looked at.
local looked_at, note_look = memory()

-- Puts the log's expiry off once a tenth of the idle time has passed, so that most publishes write nothing for it, nor look.
local function keep_alive(base, at_us)
  local last_us = looked_at(base)
  if last_us and at_us >= last_us and at_us < last_us + IDLE_MS * 50 then
    return
  end
  note_look(base, at_us)
  if redis.call('PTTL', base .. ':log') > IDLE_MS * 0.9 then
    return
  end
  redis.call('PEXPIRE', base .. ':log', IDLE_MS)
  redis.call('PEXPIRE', base .. ':epoch', IDLE_MS)
  redis.call('PEXPIRE', base .. ':lineage', IDLE_MS)
end

-- Begins the log anew. The entry numbered 0 is added and removed at once, so that the stream exists and counts from 1.
local function begin(base, at_us)
  -- First what may be refused: nothing is written when INFO is forbidden.
  local history = lineage()
  local epoch = math.floor(at_us / 1000)
  local old = tonumber(redis.call('GET', base .. ':epoch') or '0') or 0
  if old >= epoch then
    epoch = old + 1
  end
  epoch = whole(epoch)
  redis.call('DEL', base .. ':log')
  redis.call('XADD', base .. ':log', epoch .. '-0', 'h', '')
  redis.call('XDEL', base .. ':log', epoch .. '-0')
  redis.call('SET', base .. ':epoch', epoch)
  redis.call('SET', base .. ':lineage', history)
  note_look(base, false)
  return epoch
end

local function add(base, epoch, header, data, at_us)
  local entries_max = quota_of(base, at_us).entries_max
  if entries_max == 0 then
    entries_max = ENTRIES_MAX
  end
  return redis.pcall('XADD', base .. ':log', 'NOMKSTREAM', 'MAXLEN', '~', entries_max, epoch .. '-*', 'h', header, 'd', data)
end

-- Appends and fans out; the third value is how many were listening. A missing log is begun; so is one whose numbers an XADD past this script has used up.
local function append(base, rest, data, at_us)
  local header = string.format('%x', at_us) .. ' ' .. rest
  local epoch = redis.call('GET', base .. ':epoch')
  local id = epoch and add(base, epoch, header, data, at_us)
  if type(id) == 'table' and not string.find(id.err, 'equal or smaller', 1, true) then
    return nil, id
  end
  if type(id) ~= 'string' then
    epoch = begin(base, at_us)
    id = add(base, epoch, header, data, at_us)
    if type(id) ~= 'string' then
      return nil, id or refuse('the log cannot be begun')
    end
  end
  local place = string.format('%x-%x', tonumber(epoch), tonumber(string.match(id, '%-(%d+)$')))
  keep_alive(base, at_us)
  local nodes = redis.call(PUBLISH, base .. ':bus', place .. ' ' .. header .. '\n' .. data)
  return place .. '-' .. string.format('%x', at_us), nil, nodes
end

-- Begins the receipts of what asks to be acknowledged; defined with the rest of them, which append in their turn.
local await_acks

-- The org of each room that was found well-formed.
local org_of, note_org = memory()

local function check_room(room, org)
  if org_of(room) == org then
    return
  end
  local count, channel, owner = 0, '', ''
  if #room > 8 * 65 then
    return 'the room name is too long'
  end
  for segment in string.gmatch(room .. ':', '([^:]*):') do
    count = count + 1
    if #segment == 0 or #segment > 64 or string.find(segment, '[^%w_.@-]') then
      return 'a segment of the room is empty, longer than 64 bytes, or has other characters than letters, digits and _ . @ -'
    end
    if count == 1 then
      channel = segment
    elseif RESERVED[segment] then
      return 'org, dept and queue are reserved words: give the room in its short form, as in kpi:acme:sales:support'
    elseif count == 2 then
      owner = segment
    end
  end
  if count < 2 or count > 8 then
    return 'a room is channel:org[:dept[:queue]], as in kpi:acme:sales:support'
  end
  if owner ~= org then
    return 'the room belongs to another org than the key'
  end
  if (channel == 'org' and count ~= 2) or (channel == 'user' and count ~= 3) then
    return 'the forms are org:<org> and user:<org>:<user>'
  end
  note_org(room, org)
end

local function flag(name)
  return function(value)
    if value ~= '0' and value ~= '1' then
      return name .. ' is 0 or 1'
    end
  end
end

-- What each option demands of its value; the answer is what is wrong with it.
local CHECKS = {
  priority = function(value)
    if not PRIORITIES[value] then
      return 'priority is low, medium, high or urgent'
    end
  end,
  idempotency_key = function(value)
    if #value == 0 or #value > KEY_BYTES_MAX or string.find(value, '%c') then
      return 'an idempotency key is 1 to 256 bytes without control characters'
    end
  end,
  ttl_ms = function(value)
    if #value > 15 or not string.find(value, '^%d+$') then
      return 'ttl_ms is a whole number of milliseconds'
    end
  end,
  sessions = function(value)
    if #value == 0 or #value > OPTION_BYTES_MAX or string.find(value, '[^%x,-]') then
      return 'sessions is a list of session ids with commas between'
    end
  end,
  headers = function(value)
    if #value > OPTION_BYTES_MAX or string.find(value, '%c') or string.sub(value, 1, 1) ~= '{' then
      return 'headers is a JSON object of strings, at most 8192 bytes, on one line'
    end
  end,
  receipt_to = function(value)
    if #value == 0 or #value > 64 or string.find(value, '[^%w_.@-]') then
      return 'receipt_to is a user of the org'
    end
  end,
  cascade = flag('cascade'),
  requires_ack = flag('requires_ack'),
  log = flag('log'),
  checked = flag('checked'),
  bytes = flag('bytes'),
}

-- The pairs behind the third argument, each held to its check; `names` is the list for people.
local function read_options(args, checks, names)
  local options = {}
  if #args % 2 == 0 then
    return nil, 'options come in pairs of name and value'
  end
  for index = 4, #args, 2 do
    local name, value = args[index], args[index + 1]
    local check = checks[name]
    if not check then
      return nil, 'there is no such option; options are ' .. names
    end
    local wrong = check(value)
    if wrong then
      return nil, wrong
    end
    options[name] = value
  end
  return options
end

-- The header line without time: room, event and what differs from the defaults; headers last, because they may hold spaces.
local function header_of(room, event, options)
  local parts = { room, event }
  if options.priority and options.priority ~= 'medium' then
    parts[#parts + 1] = 'p=' .. options.priority
  end
  if options.cascade == '1' then
    parts[#parts + 1] = 'c'
  end
  if options.requires_ack == '1' then
    parts[#parts + 1] = 'a'
  end
  if options.bytes == '1' then
    parts[#parts + 1] = 'b'
  end
  if options.ttl_ms then
    parts[#parts + 1] = 't=' .. options.ttl_ms
  end
  if options.sessions then
    parts[#parts + 1] = 's=' .. options.sessions
  end
  if options.headers then
    parts[#parts + 1] = 'h=' .. options.headers
  end
  return table.concat(parts, ' ')
end

-- Puts a fence into a log that has entries and whose history is not `current`, once (docs/adr/0003-fence-after-promotion.md).
local function fence(base, current, at_us)
  local stored = redis.call('GET', base .. ':lineage')
  if stored == current then
    return
  end
  redis.call('SET', base .. ':lineage', current)
  if current ~= 'none' and redis.call('XLEN', base .. ':log') > 0 then
    local _, failure = append(base, '! fork', '', at_us)
    return failure
  end
end

-- Puts a fence first where one is due, since nothing may come between the parting of two histories and the fence that admits it. Answers
-- the time to go on with, or nil and the failure.
local function past_fence(base, at_us)
  local history = FUNCTIONS and recent_lineage(at_us)
  if history and redis.call('GET', base .. ':lineage') ~= history and redis.call('EXISTS', base .. ':log') == 1 then
    local failure = fence(base, history, at_us)
    if failure then
      return nil, failure
    end
    at_us = now_us()
  end
  return at_us
end

-- With base key and log both named, a Cluster answers TRYAGAIN while the slot moves, instead of beginning a second log on the other side.
local function lacks_log(keys)
  if CLUSTER and #keys < 2 then
    return 'on a Cluster two keys are named: 2 ' .. keys[1] .. ' ' .. keys[1] .. ':log'
  end
end

-- Whether lists and objects are nested deeper than `levels`.
local function is_deeper(value, levels)
  if type(value) ~= 'table' then
    return false
  end
  if levels == 0 then
    return true
  end
  for _, inner in pairs(value) do
    if is_deeper(inner, levels - 1) then
      return true
    end
  end
  return false
end

local function check_publication(base, args)
  local room, event, data = args[1], args[2], args[3]
  local org = string.match(base, '{([%w_.@-]+)}$')
  if not org then
    return 'the key ends with the org in braces, as in rc:{acme}'
  end
  if not data then
    return 'the arguments are room, event, data and options'
  end
  local wrong = check_room(room, org)
  if wrong then
    return wrong
  end
  if #event == 0 or #event > 128 or string.find(event, '[^%w_.:-]') then
    return 'an event name is 1 to 128 characters of letters, digits and _ . : -'
  end
  if string.sub(event, 1, 5) == 'sync:' then
    return 'the events of collections are not published: write by roomcast_sync'
  end
  if #data > DATA_BYTES_MAX then
    return 'data is one JSON value of at most ' .. DATA_BYTES_MAX .. ' bytes'
  end
end

-- KEYS: the org's base key and its log; one server does without the second. ARGV: room, event, data, then options as pairs. Answers
-- [position, duplicate]; an ephemeral publication has the position "".
local function publish(keys, args)
  local base = keys[1]
  local wrong = lacks_log(keys) or check_publication(base, args)
  if wrong then
    return refuse(wrong)
  end
  local options, bad_option = read_options(
    args, CHECKS, 'priority, idempotency_key, ttl_ms, cascade, requires_ack, receipt_to, log, headers, sessions, bytes, checked')
  if not options then
    return refuse(bad_option)
  end
  if #args[3] == 0 and options.bytes ~= '1' then
    return refuse('data is one JSON value of at most ' .. DATA_BYTES_MAX .. ' bytes')
  end
  if options.checked ~= '1' then
    local is_json, data = true, nil
    if options.bytes ~= '1' then
      is_json, data = pcall(cjson.decode, args[3])
    end
    if not is_json or is_deeper(data, DEPTH_MAX) then
      return refuse('data is not one JSON value of at most ' .. DEPTH_MAX .. ' levels')
    end
    if options.headers and not pcall(cjson.decode, options.headers) then
      return refuse('headers is not a JSON object')
    end
  end
  if options.requires_ack == '1' and options.log == '0' then
    return refuse('only what is logged can be acknowledged')
  end
  local rest = header_of(args[1], args[2], options)
  local at_us = now_us()
  if options.log == '0' then
    local used_up = charge(base, #args[3], at_us)
    if used_up then
      return used_up
    end
    redis.call(PUBLISH, base .. ':bus', '- ' .. string.format('%x', at_us) .. ' ' .. rest .. '\n' .. args[3])
    return { '', 0 }
  end
  local key = options.idempotency_key and base .. ':idem:' .. options.idempotency_key
  local earlier = key and redis.call('GET', key)
  if earlier then
    -- The write gives WAIT something to wait for that comes after the first publish.
    redis.call('PEXPIRE', base .. ':epoch', IDLE_MS)
    return { earlier, 1 }
  end
  local used_up = charge(base, #args[3], at_us)
  if used_up then
    return used_up
  end
  local failure, position
  at_us, failure = past_fence(base, at_us)
  if not at_us then
    return failure
  end
  local nodes
  position, failure, nodes = append(base, rest, args[3], at_us)
  if not position then
    return failure
  end
  if options.requires_ack == '1' then
    await_acks(base, position, nodes, options.receipt_to, at_us)
  end
  if key then
    redis.call('SET', key, position, 'PX', IDEMPOTENCY_MS)
  end
  return { position, 0 }
end

local function seq_of(id)
  return string.match(id, '%-(%d+)$')
end

-- [epoch, last number, last check as hex, first number], or false without a log.
local function state(keys)
  local base = keys[1]
  local epoch = redis.call('GET', base .. ':epoch')
  if not epoch or redis.call('EXISTS', base .. ':log') == 0 then
    return false
  end
  local last = redis.call('XREVRANGE', base .. ':log', '+', '-', 'COUNT', 1)[1]
  if not last then
    local info = redis.call('XINFO', 'STREAM', base .. ':log')
    for index = 1, #info, 2 do
      if info[index] == 'last-generated-id' then
        local seq = tonumber(seq_of(info[index + 1]))
        return { epoch, whole(seq), '0', whole(seq + 1) }
      end
    end
    return false
  end
  local first = redis.call('XRANGE', base .. ':log', '-', '+', 'COUNT', 1)[1]
  return { epoch, seq_of(last[1]), string.match(last[2][2] or '', '^(%x+) ') or '0', seq_of(first[1]) }
end

-- The newest place, for probes: [epoch, number, check as hex], or false without a log. Looks at one entry and nothing else, because every node
-- asks this of every org that it has.
local function newest(keys)
  local last = redis.call('XREVRANGE', keys[1] .. ':log', '+', '-', 'COUNT', 1)[1]
  if last then
    return { string.match(last[1], '^%d+'), seq_of(last[1]), string.match(last[2][2] or '', '^(%x+) ') or '0' }
  end
  local empty = state(keys)
  return empty and { empty[1], empty[2], empty[3] }
end

-- Begins a missing log; puts a fence into one whose history was replaced, once (docs/adr/0003-fence-after-promotion.md).
local function open(keys)
  local base = keys[1]
  local at_us = now_us()
  if not state(keys) then
    begin(base, at_us)
  else
    local failure = fence(base, lineage(), at_us)
    if failure then
      return failure
    end
  end
  keep_alive(base, at_us)
  return state(keys)
end

-- ARGV: first number, entries at most, bytes at most. Answers [epoch, 1 at the end of the log, [number, header, data, …]].
local function read(keys, args)
  local base, next_seq = keys[1], args[1]
  local entries_max, bytes_max = tonumber(args[2]), tonumber(args[3])
  local epoch = redis.call('GET', base .. ':epoch')
  if not epoch or redis.call('EXISTS', base .. ':log') == 0 then
    return redis.error_reply('NOLOG the log has not been opened')
  end
  local out, bytes, count = {}, 0, 0
  local log, from, upper = base .. ':log', epoch .. '-' .. next_seq, epoch .. '-' .. SEQ_MAX
  while true do
    -- One more than wanted tells whether the log goes on.
    local batch = math.min(READ_BATCH, entries_max - count + 1)
    local entries = redis.call('XRANGE', log, from, upper, 'COUNT', batch)
    for _, entry in ipairs(entries) do
      local fields, header, data = entry[2], '', ''
      for index = 1, #fields, 2 do
        if fields[index] == 'h' then
          header = fields[index + 1]
        elseif fields[index] == 'd' then
          data = fields[index + 1]
        end
      end
      if #data > DATA_BYTES_MAX then
        -- Whoever wrote that did not ask the function. Without its data it is malformed, which keeps its number and reaches nobody.
        data = ''
      end
      bytes = bytes + #header + #data
      if count == entries_max or (count > 0 and bytes > bytes_max) then
        return { epoch, 0, out }
      end
      local at = 3 * count
      out[at + 1], out[at + 2], out[at + 3] = string.sub(entry[1], #epoch + 2), header, data
      count = count + 1
    end
    if #entries < batch then
      return { epoch, 1, out }
    end
    from = '(' .. entries[#entries][1]
  end
end

-- Retention by bytes and age, a bounded step at a time. ARGV: bytes at most, age at most in ms. The newest entry stays.
local function trim(keys, args)
  local log = keys[1] .. ':log'
  local length = redis.call('XLEN', log)
  if length <= 1 then
    return 0
  end
  local removed = 0
  local usage = redis.call('MEMORY', 'USAGE', log) or 0
  local own_bytes_max = quota_of(keys[1], now_us()).bytes_max
  local bytes_max = own_bytes_max > 0 and own_bytes_max or tonumber(args[1])
  if usage > bytes_max then
    local keep = math.max(1, math.floor(length * bytes_max / usage * 0.95))
    removed = redis.call('XTRIM', log, 'MAXLEN', '~', keep, 'LIMIT', 10000)
  end
  local oldest_us = now_us() - tonumber(args[2]) * 1000
  for _ = 1, TRIM_ROUNDS do
    local stale = 0
    local entries = redis.call('XRANGE', log, '-', '+', 'COUNT', TRIM_BATCH + 1)
    for index, entry in ipairs(entries) do
      local check = string.match(entry[2][2] or '', '^(%x+) ')
      if index == #entries or not check or tonumber(check, 16) >= oldest_us then
        break
      end
      stale = index
    end
    if stale == 0 then
      break
    end
    removed = removed + redis.call('XTRIM', log, 'MINID', '=', entries[stale + 1][1])
  end
  return removed
end
