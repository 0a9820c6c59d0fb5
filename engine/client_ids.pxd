# Which ids of clients were used: two tables, the younger generation and the older.
#
# An entry keeps no text but a 128-bit keyed hash of it (SipHash's rounds, one per word and three at the end), a keyed hash
# of the body and the sequence. A slot whose stamp is of another generation is vacant, so a roll clears nothing: it only
# carries the ids of live orders over, and the orders know where their ids stand.
#
# Always true: a key stands in one of the two tables at most; a live order's id_place is right or 0.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from engine.layout cimport (
    Command, GENERATION_LAST, GTT, NEW, OLDER_BIT, PREFETCH, REPLACE, SCALE_TO, SEQUENCE_BITS, SEQUENCE_MASK, TEXT_BYTES,
    UNLIKELY, fault_in, lock_tables, make_ready, release, reserve, unlock_tables,
)
from engine.pool cimport find_order
from engine.types cimport Core, IdEntry, IdTable, Order

cdef enum:
    ROLL_AHEAD = 16             # orders

cdef struct Sip:
    uint64_t v0, v1, v2, v3

cdef struct IdKey:
    uint64_t key[2]

cdef inline uint64_t rotated(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)

cdef inline void sip_round(Sip* h) noexcept nogil:
    h.v0 += h.v1
    h.v2 += h.v3
    h.v1 = rotated(h.v1, 13) ^ h.v0
    h.v3 = rotated(h.v3, 16) ^ h.v2
    h.v0 = rotated(h.v0, 32)
    h.v2 += h.v1
    h.v0 += h.v3
    h.v1 = rotated(h.v1, 17) ^ h.v2
    h.v3 = rotated(h.v3, 21) ^ h.v0
    h.v2 = rotated(h.v2, 32)

cdef inline void sip_start(Sip* h, Core* core) noexcept nogil:
    h.v0 = core.secret[0] ^ <uint64_t>0x736F6D6570736575
    h.v1 = core.secret[1] ^ <uint64_t>0x646F72616E646F83
    h.v2 = core.secret[0] ^ <uint64_t>0x6C7967656E657261
    h.v3 = core.secret[1] ^ <uint64_t>0x7465646279746573

cdef inline void sip_word(Sip* h, uint64_t word) noexcept nogil:
    h.v3 ^= word
    sip_round(h)
    h.v0 ^= word

cdef inline uint64_t sip_end(Sip* h, uint64_t which) noexcept nogil:
    h.v2 ^= which
    sip_round(h)
    sip_round(h)
    sip_round(h)
    return h.v0 ^ h.v1 ^ h.v2 ^ h.v3

cdef inline uint32_t text_length(const Command* command) noexcept nogil:
    return command.text_length if command.text_length < TEXT_BYTES else TEXT_BYTES

cdef inline bint has_id(const Command* command) noexcept nogil:
    return command.text_length != 0 and (command.kind == NEW or command.kind == REPLACE)

cdef inline void hash_id(Core* core, const Command* command, IdKey* key) noexcept nogil:
    cdef uint64_t words[6]
    cdef uint32_t length = text_length(command), i
    cdef Sip h
    memset(words, 0, sizeof(words))
    memcpy(words, command.text, length)
    sip_start(&h, core)
    # A request_id is its account's alone: the symbol of a REPLACE follows from its target.
    sip_word(&h, <uint64_t>command.account << 32 | (command.symbol if command.kind == NEW else 0))
    sip_word(&h, <uint64_t>command.kind << 8 | length)
    for i in range((length + 7) >> 3):
        sip_word(&h, words[i])
    key.key[0] = sip_end(&h, 0xEE)
    key.key[1] = sip_end(&h, 0xDD)

cdef inline uint64_t hash_body(Core* core, const Command* command) noexcept nogil:
    cdef Sip h
    sip_start(&h, core)
    sip_word(&h, <uint64_t>command.side | <uint64_t>command.type << 8 | <uint64_t>command.tif << 16
             | <uint64_t>command.flags << 24)
    sip_word(&h, <uint64_t>command.price)
    sip_word(&h, <uint64_t>command.quantity)
    sip_word(&h, <uint64_t>command.target)
    if UNLIKELY(command.kind == NEW and command.tif == GTT):
        sip_word(&h, command.extra)
    return sip_end(&h, 0xFF)

# ---- one table

cdef inline bint vacant(IdTable* table, IdEntry* entry) noexcept nogil:
    return entry.stamp >> SEQUENCE_BITS != table.generation

cdef inline IdEntry* home_entry(IdTable* table, IdKey* key) noexcept nogil:
    return &table.entries[SCALE_TO(key.key[0], table.slots)]

cdef inline IdEntry* look_up(IdTable* table, IdKey* key) noexcept nogil:
    """The entry of a key, or the vacant one where it belongs."""
    cdef IdEntry* entry = home_entry(table, key)
    cdef IdEntry* end = table.entries + table.slots
    while not vacant(table, entry) and (entry.key[0] != key.key[0] or entry.key[1] != key.key[1]):
        entry += 1
        if entry == end:
            entry = table.entries
    return entry

cdef inline uint32_t put(IdTable* table, IdKey* key, uint64_t body, uint64_t sequence) noexcept nogil:
    """Adds a key that is not there; returns 1 + its slot."""
    cdef IdEntry* entry = look_up(table, key)
    entry.key[0] = key.key[0]
    entry.key[1] = key.key[1]
    entry.body = body
    entry.stamp = <uint64_t>table.generation << SEQUENCE_BITS | sequence
    table.count += 1
    return <uint32_t>(entry - table.entries) + 1

cdef inline bint table_make(IdTable* table, uint64_t slots, bint faulted_in) noexcept nogil:
    table.entries = <IdEntry*>reserve(slots * sizeof(IdEntry))
    if table.entries == NULL:
        return False
    make_ready(table.entries, slots * sizeof(IdEntry), faulted_in)
    table.slots = slots
    table.count = 0
    table.limit = slots - (slots >> 3)
    table.generation = 1
    return True

cdef inline void replace_table(Core* core, uint32_t which, IdTable* made) noexcept nogil:
    lock_tables(&core.tables_held)
    release(core.ids[which].entries, core.ids[which].slots * sizeof(IdEntry))
    core.ids[which] = made[0]
    unlock_tables(&core.tables_held)

cdef inline void table_clear(IdTable* table) noexcept nogil:
    table.count = 0
    table.generation += 1
    if table.generation > GENERATION_LAST:
        memset(table.entries, 0, table.slots * sizeof(IdEntry))
        table.generation = 1

# ---- both

cdef inline IdEntry* known_id(Core* core, IdKey* key) noexcept nogil:
    """The entry of a used id, or NULL."""
    cdef uint32_t which
    cdef IdEntry* entry
    for which in range(2):
        entry = look_up(&core.ids[which], key)
        if not vacant(&core.ids[which], entry):
            return entry
    return NULL

cdef inline uint32_t remember_id(Core* core, const Command* command, IdKey* key) noexcept nogil:
    """Returns the id_place; there is room, core.pxd saw to it before the command acted."""
    cdef uint32_t place = put(&core.ids[core.younger], key, hash_body(core, command), core.sequence)
    return place | (OLDER_BIT if core.younger != 0 else 0)

cdef inline bint grow_ids(Core* core, uint32_t which) noexcept nogil:
    """Twice the slots: a stall, only when the ids were not rolled in time. False: no memory, nothing has changed."""
    cdef IdTable* table = &core.ids[which]
    cdef IdTable bigger
    cdef IdEntry* entry
    cdef IdKey key
    cdef uint64_t slot
    cdef uint32_t place, number
    if table.slots * 2 >= OLDER_BIT or not table_make(&bigger, table.slots * 2, core.faulted_in):
        return False
    if core.faulted_in:
        fault_in(bigger.entries, bigger.slots * sizeof(IdEntry))
    for slot in range(table.slots):
        entry = &table.entries[slot]
        if vacant(table, entry):
            continue
        key.key[0] = entry.key[0]
        key.key[1] = entry.key[1]
        place = put(&bigger, &key, entry.body, entry.stamp & SEQUENCE_MASK)
        number = find_order(core, entry.stamp & SEQUENCE_MASK)
        if number != 0:
            core.orders[number].id_place = place | (OLDER_BIT if which != 0 else 0)
    replace_table(core, which, &bigger)
    return True

cdef inline IdEntry* entry_in(Core* core, uint32_t which, uint32_t number) noexcept nogil:
    """Where the id of this order stands in that table; NULL when it does not, or when nothing rests under this number."""
    cdef Order* order
    if number >= core.fresh:
        return NULL
    order = &core.orders[number]
    if order.sequence == 0 or order.id_place == 0 or (order.id_place & OLDER_BIT != 0) != which:
        return NULL
    return &core.ids[which].entries[(order.id_place & ~OLDER_BIT) - 1]

cdef inline void roll_ids(Core* core) noexcept nogil:
    """The older generation is forgotten, ids of live orders excepted: they join what is the older one from now on.

    Nearly every access misses the caches: entries are fetched far ahead, and the places where they go a little ahead.
    """
    cdef uint32_t forgotten = core.younger ^ 1, number
    cdef IdTable* kept = &core.ids[core.younger]
    cdef IdEntry* entry
    cdef IdKey key
    cdef Order* order
    for number in range(1, core.fresh):
        entry = entry_in(core, forgotten, number + 2 * ROLL_AHEAD)
        if entry != NULL:
            PREFETCH(entry)
        entry = entry_in(core, forgotten, number + ROLL_AHEAD)
        if entry != NULL:
            PREFETCH(&kept.entries[SCALE_TO(entry.key[0], kept.slots)])
        entry = entry_in(core, forgotten, number)
        if entry == NULL:
            continue
        order = &core.orders[number]
        key.key[0] = entry.key[0]
        key.key[1] = entry.key[1]
        order.id_place = put(kept, &key, entry.body, order.sequence) | (OLDER_BIT if core.younger != 0 else 0)
    table_clear(&core.ids[forgotten])
    core.younger = forgotten
