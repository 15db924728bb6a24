-- Syncs of devices, each its own user on its own connection: ARGS are the number of rows of a push (0: nothing to push), the seconds between two
-- syncs of a device (0: at once), and the tokens. Each answer's timestamp goes into the next request, as clients do it.
local thread_number = 0

-- A whole row, as the clients send it.
local row = '{"table":"tune","rowId":"%s","data":{"id":"%s","title":"Tune %d","id_foreign":null,"primary_origin":null,"type":"reel","structure":"AABB","mode":"D",' ..
	'"incipit":"ABcd efga","genre":null,"composer":null,"artist":null,"release_year":null},"deleted":false,"lastModifiedAt":"%s.%06dZ"}'

function setup(thread)
	thread_number = thread_number + 1
	thread:set("id", thread_number)
end

function init(args)
	rows, pause = tonumber(args[1]), tonumber(args[2])
	token, last, counter = args[2 + id], "null", 0
	math.randomseed(os.time() * 100 + id)
	headers = {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"}
end

function delay()
	return pause > 0 and math.floor(-math.log(1 - math.random()) * pause * 1000) or 0
end

local function uuid()
	return string.format("%08x-%04x-4%03x-8%03x-%012x", math.random(0, 0xffffffff), math.random(0, 0xffff), math.random(0, 0xfff), math.random(0, 0xfff), math.random(0, 0xffffffffffff))
end

function request()
	local changes, now = {}, os.date("!%Y-%m-%dT%H:%M:%S")
	counter = counter + 1
	for i = 1, rows do
		local key = uuid()
		changes[i] = string.format(row, key, key, counter, now, i)
	end
	return wrk.format("POST", nil, headers, string.format('{"changes":[%s],"lastSyncAt":%s,"schemaVersion":1,"deviceId":"bench-%d","requestId":"%s"}', table.concat(changes, ","), last, id, uuid()))
end

function response(status, _, body)
	local timestamp = body:match('"timestamp":"([^"]+)"')
	if status == 200 and timestamp then
		last = '"' .. timestamp .. '"'
	end
end

function done(summary, latency)
	io.write(string.format("result %.0f %.2f %.2f %d %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(95) / 1000,
		summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect, summary.requests))
end
