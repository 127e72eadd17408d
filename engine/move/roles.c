#include "engine/move/roles.h"

#include "io/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

static const struct {
    unsigned attribute;
    const char *role;
} by_attribute[] = {
    { IMAP_MAILBOX_INBOX, "inbox" },     { IMAP_MAILBOX_SENT, "sent" },
    { IMAP_MAILBOX_DRAFTS, "drafts" },   { IMAP_MAILBOX_TRASH, "trash" },
    { IMAP_MAILBOX_JUNK, "junk" },       { IMAP_MAILBOX_ARCHIVE, "archive" },
    { IMAP_MAILBOX_ALL, "all" },         { IMAP_MAILBOX_FLAGGED, "flagged" },
    { IMAP_MAILBOX_IMPORTANT, "important" },
};

/* Names that servers and clients give these folders, compared after case folding and NFKC. Gathered
 * from shared experience with Exchange, Outlook, Thunderbird, Apple Mail, Gmail, Zimbra, Horde. */
static const struct {
    const char *role;
    const char *names[48];
} by_name[] = {
    { "sent",
      { "Sent", "Sent Items", "Sent Messages", "Sent Mail", "Sent-Mail", "sent-mail", "Outgoing",
        "Gesendet", "Gesendete Elemente", "Gesendete Objekte", "Gesendete Nachrichten",
        "Éléments envoyés", "Messages envoyés", "Envoyés", "Elementos enviados", "Enviados",
        "Mensajes enviados", "Itens enviados", "Itens Enviados", "Mensagens enviadas",
        "Posta inviata", "Inviati", "Inviata", "Verzonden items", "Verzonden", "Verzonden berichten",
        "Elementy wysłane", "Wysłane", "Отправленные", "Отправленные письма", "送信済みアイテム",
        "送信済み", "送信済みメール", "보낸 편지함", "已发送邮件", "已发送", "寄件備份", "Gönderilmiş Öğeler",
        "Gönderilenler", "Sendte elementer", "Skickat", "Skickade objekt", "Sendt post", "Lähetetyt",
        "Odeslaná pošta", "Odoslaná pošta", "Elküldött elemek", "Απεσταλμένα" } },
    { "drafts",
      { "Drafts", "Draft", "Entwürfe", "Entwurf", "Brouillons", "Brouillon", "Borradores", "Borrador",
        "Rascunhos", "Bozze", "Concepten", "Wersje robocze", "Szkice", "Черновики", "下書き",
        "임시 보관함", "草稿", "草稿箱", "草稿匣", "Taslaklar", "Kladd", "Utkast", "Kladder",
        "Luonnokset", "Koncepty", "Rozepsané", "Piszkozatok", "Πρόχειρα", "Ciorne", "Чернетки" } },
    { "trash",
      { "Trash", "Deleted Items", "Deleted Messages", "Deleted", "Bin", "Wastebasket", "Papierkorb",
        "Gelöschte Elemente", "Gelöschte Objekte", "Gelöscht", "Corbeille", "Éléments supprimés",
        "Messages supprimés", "Papelera", "Elementos eliminados", "Eliminados", "Lixeira", "Lixo",
        "Itens excluídos", "Itens Excluídos", "Cestino", "Posta eliminata", "Eliminata",
        "Prullenbak", "Verwijderde items", "Kosz", "Elementy usunięte", "Корзина", "Удаленные",
        "Удалённые", "ごみ箱", "削除済みアイテム", "지운 편지함", "휴지통", "已删除邮件", "已删除",
        "刪除的郵件", "Silinmiş Öğeler", "Çöp", "Slettede elementer", "Papirkurv", "Papperskorgen",
        "Borttagna objekt", "Roskakori", "Koš", "Odstraněná pošta", "Törölt elemek",
        "Elemente șterse" } },
    { "junk",
      { "Junk", "Spam", "Junk Email", "Junk E-mail", "Junk-E-Mail", "Junk Mail", "Bulk Mail",
        "Bulk", "Werbung", "Unerwünscht", "Spamverdacht", "Courrier indésirable", "Indésirables",
        "Pourriel", "Correo no deseado", "Lixo Eletrônico", "Lixo eletrónico", "Posta indesiderata",
        "Indesiderata", "Ongewenste e-mail", "Ongewenst", "Wiadomości-śmieci", "Niechciane",
        "Нежелательная почта", "Спам", "迷惑メール", "정크 메일", "스팸", "垃圾邮件", "垃圾郵件",
        "Önemsiz E-posta", "Søppelpost", "Uønsket e-post", "Skräppost", "Roskaposti",
        "Nevyžádaná pošta", "Levélszemét", "Ανεπιθύμητα" } },
    { "archive",
      { "Archive", "Archives", "Archiv", "Archivo", "Arquivo", "Archivio", "Archief", "Archiwum",
        "Архив", "アーカイブ", "보관", "存档", "封存", "Arşiv", "Arkiv", "Arkisto" } },
};

bool roles_by_attribute(unsigned attributes)
{
    for (unsigned i = 0; i < sizeof by_attribute / sizeof *by_attribute; i++)
        if (attributes & by_attribute[i].attribute)
            return true;
    return false;
}

static char *plain(const char *name)
{
    size_t size = 0;
    uint8_t *out = u8_casefold((const uint8_t *)name, strlen(name), NULL, UNINORM_NFKC, NULL, &size);
    char *text;

    if (!out)
        return mem_text(name);
    text = slice_dup(slice_of((const char *)out, size));
    free(out);
    return text;
}

/* The table folded and sorted once: thousands of mailboxes are looked up in it. */
static struct known {
    char *name;
    const char *role;
} *known;
static size_t known_count;
static pthread_once_t known_once = PTHREAD_ONCE_INIT;

static int known_order(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static void known_make(void)
{
    size_t room = sizeof by_name / sizeof *by_name * (sizeof by_name[0].names / sizeof(char *));

    known = mem_zero(room, sizeof *known);
    for (unsigned i = 0; i < sizeof by_name / sizeof *by_name; i++)
        for (unsigned k = 0; k < sizeof by_name[i].names / sizeof(char *); k++)
            if (by_name[i].names[k])
                known[known_count++] = (struct known){ plain(by_name[i].names[k]), by_name[i].role };
    qsort(known, known_count, sizeof *known, known_order);
}

const char *roles_find(unsigned attributes, const char *name)
{
    struct known key, *found;

    if (slice_equal_nocase(slice_cstr(name), SLICE("INBOX")))
        return "inbox";
    for (unsigned i = 0; i < sizeof by_attribute / sizeof *by_attribute; i++)
        if (attributes & by_attribute[i].attribute)
            return by_attribute[i].role;
    /* Only top-level names: "Projects/Sent" is somebody's own. */
    if (strchr(name, '/'))
        return "";
    pthread_once(&known_once, known_make);
    key.name = plain(name);
    found = bsearch(&key, known, known_count, sizeof *known, known_order);
    free(key.name);
    return found ? found->role : "";
}

const char *roles_of_well_known(struct slice word)
{
    static const struct {
        const char *word, *role;
    } words[] = {
        { "Inbox", "inbox" },        { "SentItems", "sent" },   { "Drafts", "drafts" },
        { "DeletedItems", "trash" }, { "JunkEmail", "junk" },   { "Archive", "archive" },
        { "AllItems", "all" },       { "Trash", "trash" },      { "Sent", "sent" },
        { "Junk", "junk" },          { "Spam", "junk" },
    };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal_nocase(word, slice_cstr(words[i].word)))
            return words[i].role;
    return NULL;
}
