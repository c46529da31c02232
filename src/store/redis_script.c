/*
 * What runs inside Redis. One script does all that is done to counters: a row writes this node's
 * part or adds to it, asks for an amount under a limit, or just looks; all rows or none are
 * granted.
 *
 * A counter is one hash. Field "n:<node>" is a node's part: used, held and the generation of the
 * link that wrote it; of a SHARED_LEASE also the second of the node's last word, and parts for
 * which that is too long ago are dropped. Field "*" of a SHARED_SUM holds used and held of all
 * parts, so that a call need not read them, and whether it was filled. The values are doubles, big
 * end first, as are the numbers of a row: text would cost Redis twice the time.
 *
 * ARGV: this node's field, the link's generation, then for each key seven numbers: flags (1 a
 * lease, 2 u and h are the whole part rather than changes, 4 must have been filled, 8 set the time
 * to live, 16 do not make it when it would hold nothing, 32 mind the floor even when the part is
 * there), u, h, amount, limit, floor of the others' sum, ms to live.
 *
 * Answer: what came of it (0 granted, 1 refused, 2 not filled, 3 lost, 4 stale), the row at fault,
 * and for each row: its state (1 lost: changes to a part that is not there, 2 not filled, 4 the
 * part was not there) and what the others used and hold. Parts are written whatever becomes of the
 * amounts; only a stale link, one with a lower generation than has been seen, changes nothing.
 *
 * Needs Redis 5 or Valkey: before, a script that asks for the time could not write.
 */
#include "store/redis_int.h"

const char redis_script_text[] =
    "local me, gen, now = ARGV[1], tonumber(ARGV[2]), 0\n"
    "local code, at, rows, out = 0, 0, {}, {0, 0}\n"
    "local call, band, max, min = redis.call, bit.band, math.max, math.min\n"
    "local read, write, most = struct.unpack, struct.pack, 9007199254740991\n"
    "local function lease(key)\n"
    "  local u, h, g, ou, oh, there = 0, 0, 0, 0, 0, false\n"
    "  if now == 0 then now = tonumber(call('TIME')[1]) end\n"
    "  local v = call('HGETALL', key)\n"
    "  for i = 1, #v, 2 do\n"
    "    local pu, ph, pg, t = read('>dddd', v[i + 1])\n"
    "    if v[i] == me then\n"
    "      u, h, g, there = pu, ph, pg, true\n"
    "    elseif now - t <= 30 then\n"
    "      ou, oh = ou + pu, oh + ph\n"
    "    else\n"
    "      call('HDEL', key, v[i])\n"
    "    end\n"
    "  end\n"
    "  return u, h, g, ou, oh, 0, there\n"
    "end\n"
    "for i = 1, #KEYS do\n"
    "  local key, u, h, g, ou, oh, f, there, state = KEYS[i], 0, 0, 0, 0, 0, 0, false, 0\n"
    "  local flags, nu, nh, amount, limit, floor, ttl = read('>ddddddd', ARGV[i + 2])\n"
    "  if band(flags, 1) ~= 0 then\n"
    "    u, h, g, ou, oh, f, there = lease(key)\n"
    "  else\n"
    "    local v = call('HMGET', key, '*', me)\n"
    "    if v[2] then\n"
    "      u, h, g = read('>ddd', v[2])\n"
    "      there = true\n"
    "    end\n"
    "    if v[1] then\n"
    "      ou, oh, f = read('>ddd', v[1])\n"
    "      ou, oh = ou - u, oh - h\n"
    "    end\n"
    "  end\n"
    "  if g > gen then return {4, i} end\n"
    "  if band(flags, 2) == 0 then\n"
    "    if there and g == gen then\n"
    "      nu, nh = max(min(u + nu, most), -most), max(min(h + nh, most), 0)\n"
    "    else\n"
    "      state, code = 1, 3\n"
    "    end\n"
    "  end\n"
    "  if band(flags, 4) ~= 0 and f ~= 1 then\n"
    "    state = state + 2\n"
    "    if code < 2 then code = 2 end\n"
    "  end\n"
    "  if there and band(flags, 32) == 0 then floor = 0 end\n"
    "  if code == 0 and max(ou + oh, floor) + nu + nh + amount > limit then\n"
    "    code, at = 1, i\n"
    "  end\n"
    "  if not there then\n"
    "    state, flags = state + 4, flags + (band(flags, 8) == 0 and 8 or 0)\n"
    "  end\n"
    "  rows[i] = {flags, nu, nh, amount, ttl, u, h, g, ou, oh, f, state}\n"
    "end\n"
    "for i = 1, #KEYS do\n"
    "  local flags, nu, nh, amount, ttl, u, h, g, ou, oh, f, state = unpack(rows[i])\n"
    "  if code == 0 then nh = nh + amount end\n"
    "  local timed = band(flags, 8) ~= 0\n"
    "  if (timed or nu ~= u or nh ~= h or g ~= gen) and state % 2 == 0 and\n"
    "      not (state >= 4 and band(flags, 16) ~= 0 and nu == 0 and nh == 0) then\n"
    "    if band(flags, 1) ~= 0 then\n"
    "      call('HSET', KEYS[i], me, write('>dddd', nu, nh, gen, now))\n"
    "    else\n"
    "      call('HSET', KEYS[i], me, write('>ddd', nu, nh, gen), '*', write('>ddd', ou + nu, oh + "
    "nh, f))\n"
    "    end\n"
    "    if timed and ttl > 0 then call('PEXPIRE', KEYS[i], ttl) end\n"
    "  end\n"
    "  out[3 * i], out[3 * i + 1], out[3 * i + 2] = state, ou, oh\n"
    "end\n"
    "out[1], out[2] = code, at\n"
    "return out\n";

/* KEYS[1] a counter; ARGV: ms to live where it is not there yet, then field and used of nodes that
 * may have no part there. */
const char redis_fill_text[] = "local v, u, h = redis.call('HGET', KEYS[1], '*'), 0, 0\n"
                               "if v then u, h = struct.unpack('>ddd', v) end\n"
                               "if not v and #ARGV == 1 then return 0 end\n"
                               "for i = 2, #ARGV, 2 do\n"
                               "  if redis.call('HSETNX', KEYS[1], ARGV[i], struct.pack('>ddd', "
                               "ARGV[i + 1], 0, 0)) == 1 then\n"
                               "    u = u + ARGV[i + 1]\n"
                               "  end\n"
                               "end\n"
                               "redis.call('HSET', KEYS[1], '*', struct.pack('>ddd', u, h, 1))\n"
                               "if not v and tonumber(ARGV[1]) > 0 then\n"
                               "  redis.call('PEXPIRE', KEYS[1], ARGV[1])\n"
                               "end\n"
                               "return 1\n";
