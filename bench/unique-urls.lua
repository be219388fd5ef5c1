-- Every request another URL: none is in the cache.
local count = 0
local run = tostring(os.time()) .. tostring({}):gsub('[^%w]', '')
request = function()
  count = count + 1
  return wrk.format('GET', '/' .. run .. '/' .. count)
end
