#include "engine/rehearsal/exo_state.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct language {
    const char *code, *sent, *trash, *drafts, *junk;
};

static const struct language languages[] = {
    { "en", "Sent Items", "Deleted Items", "Drafts", "Junk Email" },
    { "de", "Gesendete Elemente", "Gelöschte Elemente", "Entwürfe", "Junk-E-Mail" },
    { "fr", "Éléments envoyés", "Éléments supprimés", "Brouillons", "Courrier indésirable" },
    { "es", "Elementos enviados", "Elementos eliminados", "Borradores", "Correo no deseado" },
    { "it", "Posta inviata", "Posta eliminata", "Bozze", "Posta indesiderata" },
    { "nl", "Verzonden items", "Verwijderde items", "Concepten", "Ongewenste e-mail" },
    { "pl", "Elementy wysłane", "Elementy usunięte", "Wersje robocze", "Wiadomości-śmieci" },
    { "ru", "Отправленные", "Удаленные", "Черновики", "Нежелательная почта" },
    { "ja", "送信済みアイテム", "削除済みアイテム", "下書き", "迷惑メール" },
    { "ko", "보낸 편지함", "지운 편지함", "임시 보관함", "정크 메일" },
    { "tr", "Gönderilmiş Öğeler", "Silinmiş Öğeler", "Taslaklar", "Önemsiz E-posta" },
};

static const char *const not_mail[] = { "Calendar", "Contacts", "Journal", "Notes", "Outbox", "Tasks" };

static size_t address_hash(const char *address)
{
    uint64_t h = 14695981039346656037u;

    for (; *address; address++) {
        unsigned char c = (unsigned char)*address;

        h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20 : c)) * 1099511628211u;
    }
    return (h ^ h >> 32) & (EXO_MAP_SIZE - 1);
}

static struct exo_mailbox *find_locked(struct exo *exo, const char *address)
{
    struct exo_mailbox *m = exo->map[address_hash(address)];

    while (m && !slice_equal_nocase(slice_cstr(m->address), slice_cstr(address)))
        m = m->next;
    return m;
}

struct exo_mailbox *exo_mailbox_find(struct exo *exo, const char *address)
{
    struct exo_mailbox *m;

    pthread_mutex_lock(&exo->map_lock);
    m = find_locked(exo, address);
    pthread_mutex_unlock(&exo->map_lock);
    return m;
}

static void special_make(struct exo_mailbox *m, const char *utf8, const char *special)
{
    char name[EXO_NAME_MAX];
    struct exo_folder *f;

    exo_utf7_encode(utf8, name, sizeof name);
    f = exo_folder_make(m, slice_cstr(name));
    assert(f);
    f->special = special;
    f->not_mail = !special && !slice_equal(slice_cstr(name), SLICE("INBOX"));
}

static struct exo_mailbox *mailbox_create(const char *address, const char *code)
{
    const struct language *language = &languages[0];
    struct exo_mailbox *m = mem_zero(1, sizeof *m);

    pthread_mutex_init(&m->lock, NULL);
    m->address = mem_text(address);
    m->permitted = m->enabled = true;
    m->uidvalidity_next = 14;
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        if (code && strcmp(languages[i].code, code) == 0)
            language = &languages[i];
    special_make(m, "INBOX", NULL);
    special_make(m, language->sent, "\\Sent");
    special_make(m, language->drafts, "\\Drafts");
    special_make(m, language->trash, "\\Trash");
    special_make(m, language->junk, "\\Junk");
    for (size_t i = 0; i < sizeof not_mail / sizeof *not_mail; i++)
        special_make(m, not_mail[i], NULL);
    return m;
}

struct exo_mailbox *exo_mailbox_make(struct exo *exo, const char *address, const char *language)
{
    struct exo_mailbox *m;

    pthread_mutex_lock(&exo->map_lock);
    m = find_locked(exo, address);
    if (!m && exo->mailbox_count < EXO_MAILBOXES_MAX) {
        struct exo_mailbox **slot = &exo->map[address_hash(address)];

        m = mailbox_create(address, language);
        m->next = *slot;
        *slot = m;
        *exo->listed_end = m;
        exo->listed_end = &m->next_listed;
        exo->mailbox_count++;
    }
    pthread_mutex_unlock(&exo->map_lock);
    return m;
}

static void message_free(struct exo_message *message)
{
    if (message) {
        free(message->text);
        free(message);
    }
}

void exo_mailboxes_free(struct exo *exo)
{
    struct exo_mailbox *m = exo->listed;

    while (m) {
        struct exo_mailbox *next = m->next_listed;

        for (size_t i = 0; i < m->folder_count; i++) {
            struct exo_folder *f = m->folders[i];

            for (size_t k = 0; k < f->count; k++)
                message_free(f->messages[k]);
            free(f->messages);
            free(f->expunged);
            free(f->name);
            free(f);
        }
        free(m->folders);
        free(m->address);
        pthread_mutex_destroy(&m->lock);
        free(m);
        m = next;
    }
    exo->listed = NULL;
}

struct exo_folder *exo_folder_find(struct exo_mailbox *m, struct slice name)
{
    for (size_t i = 0; i < m->folder_count; i++)
        if (!m->folders[i]->dead && exo_name_equal(slice_cstr(m->folders[i]->name), name))
            return m->folders[i];
    return NULL;
}

struct exo_folder *exo_folder_make(struct exo_mailbox *m, struct slice name)
{
    struct exo_folder *f = exo_folder_find(m, name);

    if (f)
        return f;
    for (size_t i = 1; i + 1 < name.size; i++)
        if (name.data[i] == '/' && !exo_folder_find(m, slice_first(name, i)) &&
            !exo_folder_make(m, slice_first(name, i)))
            return NULL;
    if (m->folder_count >= EXO_FOLDERS_MAX)
        return NULL;
    if (m->folder_count == m->folder_room) {
        m->folder_room = m->folder_room ? m->folder_room * 2 : 16;
        m->folders = mem_resize(m->folders, m->folder_room, sizeof *m->folders);
    }
    f = mem_zero(1, sizeof *f);
    f->name = slice_dup(name);
    f->uidvalidity = m->uidvalidity_next++;
    f->uidnext = 1;
    f->subscribed = true;
    m->folders[m->folder_count++] = f;
    return f;
}

void exo_folder_add(struct exo_mailbox *m, struct exo_folder *f, struct exo_message *message)
{
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 8;
        f->messages = mem_resize(f->messages, f->room, sizeof(struct exo_message *));
    }
    message->uid = f->uidnext++;
    f->messages[f->count++] = message;
    m->bytes += message->size;
    m->message_count++;
}

size_t exo_folder_index(const struct exo_folder *f, uint32_t uid)
{
    size_t low = 0, high = f->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (f->messages[middle]->uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void exo_folder_expunge(struct exo_mailbox *m, struct exo_folder *f, size_t index)
{
    struct exo_message *message = f->messages[index];

    if (f->expunged_count == f->expunged_room) {
        f->expunged_room = f->expunged_room ? f->expunged_room * 2 : 16;
        f->expunged = mem_resize(f->expunged, f->expunged_room, sizeof *f->expunged);
    }
    f->expunged[f->expunged_count++] = message->uid;
    memmove(&f->messages[index], &f->messages[index + 1], (f->count - index - 1) * sizeof(struct exo_message *));
    f->count--;
    m->bytes -= message->size;
    m->message_count--;
    message_free(message);
}

size_t exo_header_end(struct slice text)
{
    const char *at = text.data, *end = text.data + text.size;

    if (slice_starts(text, SLICE("\r\n")))
        return 2;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        if (at < end && *at == '\n')
            return (size_t)(at - text.data) + 1;
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at - text.data) + 2;
    }
    return SIZE_MAX;
}

struct slice exo_header_value(struct slice header, const char *name)
{
    struct slice line, want = slice_cstr(name);

    while (slice_split(&header, '\n', &line)) {
        size_t end;
        struct slice value;

        if (line.size <= want.size || line.data[want.size] != ':' ||
            !slice_equal_nocase(slice_first(line, want.size), want))
            continue;
        value = slice_from(line, want.size + 1);
        /* Folded lines follow in the same memory. */
        end = value.size;
        while (header.size && (header.data[0] == ' ' || header.data[0] == '\t')) {
            if (!slice_split(&header, '\n', &line))
                break;
            end = (size_t)(line.data + line.size - value.data);
        }
        return slice_trim(slice_of(value.data, end));
    }
    return slice_of(NULL, 0);
}

struct exo_message *exo_message_create(enum exo_keep keep, char *text, size_t text_bytes, size_t header_bytes)
{
    struct exo_message *message = mem_zero(1, sizeof *message);
    struct slice id = exo_header_value(slice_of(text, header_bytes), "Message-ID");

    if (keep == EXO_KEEP_ID) {
        message->text = slice_dup(id);
        message->text_bytes = id.size;
        message->id_bytes = (uint32_t)id.size;
        free(text);
        return message;
    }
    message->text = text;
    message->text_bytes = text_bytes;
    message->header_bytes = (uint32_t)header_bytes;
    message->id_at = id.size ? (uint32_t)(id.data - text) : 0;
    message->id_bytes = (uint32_t)id.size;
    return message;
}
