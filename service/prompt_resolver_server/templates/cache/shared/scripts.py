"""What the server does in one go, so that nobody comes in between."""

from typing import Final

from ..peers import SAME_MOMENT_S
from .seal import SEAL_BYTES

# What was confirmed later lives longer, as all of it is kept for the same time. An older answer of
# the store, of a replica that had to wait for it, must not take a newer one's place. Of two of one
# moment nobody knows which is the newer one: whichever comes last has the store asked.
WRITE: Final = f"""
local time = redis.call('TIME')
local left = ARGV[2] - time[1] * 1000 - math.floor(time[2] / 1000)
local seal = redis.pcall('GETRANGE', KEYS[1], 0, {SEAL_BYTES - 1})
local changed = seal ~= string.sub(ARGV[1], 1, {SEAL_BYTES})
local moment = changed and {round(1000 * SAME_MOMENT_S)} or 0
if left <= 0 or redis.call('PTTL', KEYS[1]) > left + moment then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', left)
redis.call('DEL', KEYS[2])
if changed then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
"""
CLAIM: Final = """
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return 0 end
return redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2])
"""
REMOVE: Final = """
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return 0 end
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""
