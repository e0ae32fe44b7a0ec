-- Owns the request wrk repeats (BENCH_METHOD, BENCH_BODY bytes, BENCH_FIELD) and the one JSON line it reports.
wrk.method = os.getenv("BENCH_METHOD") or "GET"

local size = tonumber(os.getenv("BENCH_BODY") or "0")
if size > 0 then
  wrk.body = string.rep("x", size)
  wrk.headers["Content-Type"] = "application/octet-stream"
end

local name, value = string.match(os.getenv("BENCH_FIELD") or "", "([^:]+): (.*)")
if name then
  wrk.headers[name] = value
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'SUMMARY {"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "p999_us": %d, "errors": %d, "bad_status": %d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
