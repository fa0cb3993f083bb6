-- What wrk asks, and the figures that it gives. The word after `--` chooses: plain, pipelined, upload, routes, names.

local DEPTH = 16 -- requests in one piece
local UPLOAD = 10 * 1024 * 1024
local KINDS = 10000 -- different requests to the table of routes, in a random order that is always the same

local modes = {}

function modes.plain() end

function modes.pipelined()
  local pieces = {}
  for i = 1, DEPTH do pieces[i] = wrk.format() end
  local piece = table.concat(pieces)
  request = function() return piece end
end

function modes.upload()
  wrk.method = "POST"
  wrk.body = string.rep("x", UPLOAD)
end

-- The hosts and paths of lib/routes.py.
function modes.routes()
  local kinds, next = {}, 0
  math.randomseed(1)
  for i = 1, KINDS do
    wrk.headers["Host"] = string.format("site-%d.example.com", math.random(0, 999))
    kinds[i] = wrk.format("GET", string.format("/part-%d/page", math.random(0, 99)))
  end
  request = function()
    next = next % KINDS + 1
    return kinds[next]
  end
end

-- The names of lib/statefolder.py, of which there are as many as the word after says.
function modes.names(arguments)
  local kinds, next, names = {}, 0, tonumber(arguments[2])
  math.randomseed(1)
  for i = 1, 10 * KINDS do
    local scattered = math.random(0, names - 1) * 0x9e3779b1 % 2^32
    wrk.headers["Host"] = string.format("%04x%04x.example.com", math.floor(scattered / 65536), scattered % 65536)
    kinds[i] = wrk.format("GET")
  end
  request = function()
    next = next % #kinds + 1
    return kinds[next]
  end
end

function init(arguments)
  modes[arguments[1]](arguments)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "figures requests=%d seconds=%.6f bytes=%d p50=%.1f p99=%.1f status=%d connect=%d read=%d write=%d timeout=%d\n",
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
