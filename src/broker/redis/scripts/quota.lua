-- What an org may publish, and how much of its log is kept. Read before everything else in the body.
-- Words between @ signs are filled in from the node's configuration when it loads this.

local FUNCTIONS = @FUNCTIONS@
local VERSION = @VERSION@
-- How much may come at once, in seconds of the rate.
local BURST_S = 2
-- How long a quota that was read is gone by, in µs.
local QUOTA_STALE_US = 1000000

-- What a server of functions remembers between calls, so that it need not look it up for every publication: at most so many names, then
-- it begins anew. Scripts begin anew each time.
local REMEMBERED_MAX = 10000

local function memory()
  local values, count = {}, 0
  return function(name)
    return values[name]
  end, function(name, value)
    if values[name] == nil then
      if count == REMEMBERED_MAX then
        values, count = {}, 0
      end
      count = count + 1
    end
    values[name] = value
  end
end

local function read_quota(text)
  local publications, bytes, entries_max, bytes_max = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return {
    publications = tonumber(publications) or 0,
    bytes = tonumber(bytes) or 0,
    entries_max = tonumber(entries_max) or 0,
    bytes_max = tonumber(bytes_max) or 0,
  }
end

local DEFAULT_QUOTA = '@QUOTA@'
local known_quota, note_quota = memory()

-- The org's quota, looked up once a second.
local function quota_of(base, at_us)
  local quota = known_quota(base)
  if quota and at_us >= quota.read_us and at_us < quota.read_us + QUOTA_STALE_US then
    return quota
  end
  quota = read_quota(redis.call('GET', base .. ':quota') or DEFAULT_QUOTA)
  quota.read_us = at_us
  note_quota(base, quota)
  return quota
end

local known_left, note_left = memory()

-- What the org has left. Functions remember it; where there are none it stands in a key while it is less than everything.
local function left_of(base, quota, at_us)
  local left = known_left(base)
  if not left and not FUNCTIONS then
    local publications, bytes, updated_us = string.match(redis.call('GET', base .. ':left') or '', '^(%S+) (%S+) (%S+)$')
    left = publications and { publications = tonumber(publications), bytes = tonumber(bytes), at_us = tonumber(updated_us) }
  end
  return left or { publications = quota.publications * BURST_S, bytes = quota.bytes * BURST_S, at_us = at_us }
end

local function keep_left(base, left)
  if FUNCTIONS then
    note_left(base, left)
  else
    local text = string.format('%.3f %.0f %.0f', left.publications, left.bytes, left.at_us)
    redis.call('SET', base .. ':left', text, 'PX', math.ceil((BURST_S + math.max(0, -left.bytes)) * 1000))
  end
end

-- One, but for what is lost in sums of fractions.
local ENOUGH = 1 - 1e-6

-- For how many ms nothing passes: 0 when there is enough, or no limit.
local function wait_ms(level, rate)
  if rate == 0 or level >= ENOUGH then
    return 0
  end
  return math.max(1, math.ceil((1 - level) / rate * 1000))
end

local function limited(what, rate, wait)
  return redis.error_reply(string.format('LIMITED %s %.0f %.0f', what, rate, wait))
end

-- Takes one publication of so many bytes from what the org may publish; the answer is an error when that is used up, and then
-- nothing is taken. The same arithmetic as in src/limit/allowance.rs.
local function charge(base, bytes, at_us)
  local quota = quota_of(base, at_us)
  if quota.publications == 0 and quota.bytes == 0 then
    return
  end
  local left = left_of(base, quota, at_us)
  local elapsed_s = math.max(0, at_us - left.at_us) / 1000000
  left.publications = math.min(left.publications + elapsed_s * quota.publications, quota.publications * BURST_S)
  left.bytes = math.min(left.bytes + elapsed_s * quota.bytes, quota.bytes * BURST_S)
  left.at_us = math.max(left.at_us, at_us)
  local failure
  local for_publications, for_bytes = wait_ms(left.publications, quota.publications), wait_ms(left.bytes, quota.bytes)
  if for_publications > 0 and for_publications >= for_bytes then
    failure = limited('publications', quota.publications, for_publications)
  elseif for_bytes > 0 then
    failure = limited('bytes', quota.bytes, for_bytes)
  else
    left.publications = left.publications - 1
    left.bytes = left.bytes - bytes
  end
  keep_left(base, left)
  return failure
end

