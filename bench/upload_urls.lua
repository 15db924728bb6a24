-- Each request asks for the URL of another file, or (with the argument "same") all for the URL of one file. A pause between the
-- requests of a connection keeps the rate near 10 a second for each.
local body = '{"fileName":"%s","fileSize":797125,"checksum":"%s"}'
local counter, thread_number = 0, 0
local checksum = string.rep("0123456789abcdef", 4)

function setup(thread)
	thread_number = thread_number + 1
	thread:set("id", thread_number)
end

function init(args)
	token, same, run = args[1], args[2] == "same", args[3]
	math.randomseed(id)
end

function delay()
	return math.floor(-math.log(1 - math.random()) * 100)
end

function request()
	counter = counter + 1
	local name = same and "same.csv" or string.format("%s-%d-%d.csv", run, id, counter)
	return wrk.format("POST", nil, {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"}, string.format(body, name, checksum))
end

function done(summary, latency, requests)
	io.write(string.format("result %.0f %.2f %.2f %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
		latency:percentile(99) / 1000, summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect))
end
