-- What wrk sends and how it judges responses; scenarios are told in the environment, by load/generators.ts.

local function read(path)
  local file = path and io.open(path, "rb")
  return file and file:read("*a")
end

wrk.method = os.getenv("WRK_METHOD")
wrk.body = read(os.getenv("WRK_BODY"))
for line in (os.getenv("WRK_FIELDS") or ""):gmatch("[^\n]+") do
  local name, value = line:match("^(.-): (.*)$")
  wrk.headers[name] = value
end

local pipelining = tonumber(os.getenv("WRK_PIPELINING") or 1)
if pipelining > 1 then
  local batch
  function init() batch = string.rep(wrk.format(), pipelining) end
  function request() return batch end
end

-- Comparing content costs the load generator time: only where there is some to compare with.
wrong = 0
local expected = read(os.getenv("WRK_EXPECTED"))
if expected then
  function response(status, _, body)
    if status ~= 200 or body ~= expected then wrong = wrong + 1 end
  end
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary, latency)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("wrong") end
  local e = summary.errors
  print(string.format('REPORT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"wrong":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), sum,
    e.connect, e.read, e.write, e.status, e.timeout))
end
