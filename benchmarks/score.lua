-- A scoring request for wrk, and its figures as one line of JSON on stderr.
local key = os.getenv("BENCH_KEY")
wrk.method = "POST"
wrk.body = '{"data": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'
wrk.headers["content-type"] = "application/json"
if key then wrk.headers["authorization"] = "Bearer " .. key end

function done(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
