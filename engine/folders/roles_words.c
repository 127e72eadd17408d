#include "engine/folders/roles_words.h"

#include <stddef.h>

/* clang-format off */
static const char *const sent[] = {
    "Sent Items", "Sent", "Sent Messages", "Sent Mail", "Sent-Mail", "Sent Objects", "Outgoing",
    "Gesendete Elemente", "Gesendet", "Gesendete Objekte", "Gesendete Nachrichten",
    "Gesendete E-Mails", "Éléments envoyés", "Messages envoyés", "Envoyés", "Courrier envoyé",
    "Objets envoyés", "Elementos enviados", "Enviados", "Mensajes enviados", "Correo enviado",
    "Itens enviados", "Itens Enviados", "E-mails enviados", "E-mail enviado",
    "Mensagens enviadas", "Posta inviata", "Inviati", "Inviata", "Elementi inviati",
    "Messaggi inviati", "Verzonden items", "Verzonden", "Verzonden berichten",
    "Verzonden objecten", "Elementy wysłane", "Wysłane", "Wiadomości wysłane", "Отправленные",
    "Отправленные письма", "Отправленное", "Надіслані", "Надіслані елементи", "Відправлені",
    "送信済みアイテム", "送信済み", "送信済みメール", "送信済みトレイ", "보낸 편지함", "보낸편지함", "보낸 메일함", "已发送邮件", "已发送",
    "已发送的邮件", "已傳送郵件", "寄件備份", "Gönderilmiş Öğeler", "Gönderilenler", "Gönderilmiş Postalar",
    "Gönderilmiş", "Sendte elementer", "Sendte", "Sendt", "Sendt post", "Sendte e-mails",
    "Sendte meddelelser", "Skickat", "Skickade objekt", "Skickade", "Skickade meddelanden",
    "Lähetetyt", "Lähetetyt kohteet", "Lähetetyt viestit", "Odeslaná pošta", "Odeslané",
    "Odeslané zprávy", "Odoslaná pošta", "Odoslané", "Odoslané položky", "Elküldött elemek",
    "Elküldött", "Elküldött üzenetek", "Απεσταλμένα", "Στοιχεία που στάλθηκαν",
    "Elemente trimise", "Trimise", "Mesaje trimise", "Изпратени", "Изпратени елементи",
    "Poslano", "Poslane stavke", "Poslana pošta", "Poslane poruke", "Послате ставке", "Išsiųsta",
    "Išsiųsti elementai", "Nosūtītie", "Nosūtītie vienumi", "Saadetud", "Saadetud üksused",
    "פריטים שנשלחו", "נשלח", "العناصر المرسلة", "البريد المرسل", "الرسائل المرسلة",
    "รายการที่ถูกส่ง", "จดหมายที่ส่งแล้ว", "Thư đã gửi", "Mục đã Gửi", "Item Terkirim",
    "Terkirim", "Elements enviats", "Enviats", "Bidalitakoak", "Sendir hlutir", "प्रेषित आइटम",
    NULL,
};

static const char *const drafts[] = {
    "Drafts", "Draft", "Draft Messages", "Entwürfe", "Entwurf", "Brouillons", "Brouillon",
    "Borradores", "Borrador", "Rascunhos", "Rascunho", "Bozze", "Bozza", "Concepten",
    "Wersje robocze", "Szkice", "Kopie robocze", "Черновики", "Черновик", "Чернетки", "下書き",
    "草稿", "草稿箱", "草稿匣", "임시 보관함", "임시보관함", "Taslaklar", "Taslak", "Kladd", "Kladder", "Kladdar",
    "Utkast", "Luonnokset", "Luonnos", "Koncepty", "Koncept", "Rozepsané", "Rozpísané",
    "Piszkozatok", "Piszkozat", "Vázlatok", "Πρόχειρα", "Ciorne", "Ciornă", "Schițe", "Чернови",
    "Nacrti", "Skice", "Osnutki", "Нацрти", "Juodraščiai", "Melnraksti", "Mustandid", "טיוטות",
    "المسودات", "مسودات", "แบบร่าง", "กล่องจดหมายร่าง", "Thư nháp", "Bản nháp", "Draf",
    "Esborranys", "Zirriborroak", "Drög", "ड्राफ़्ट",
    NULL,
};

static const char *const trash[] = {
    "Deleted Items", "Trash", "Deleted Messages", "Deleted", "Deleted Objects", "Bin",
    "Wastebasket", "Recycle Bin", "Papierkorb", "Gelöschte Elemente", "Gelöschte Objekte",
    "Gelöscht", "Gelöschte Nachrichten", "Corbeille", "Éléments supprimés", "Messages supprimés",
    "Supprimés", "Objets supprimés", "Papelera", "Elementos eliminados", "Eliminados",
    "Mensajes eliminados", "Papelera de reciclaje", "Lixeira", "Lixo", "Itens excluídos",
    "Itens Excluídos", "Itens eliminados", "Excluídos", "Cestino", "Posta eliminata",
    "Eliminata", "Elementi eliminati", "Messaggi eliminati", "Prullenbak", "Verwijderde items",
    "Verwijderd", "Verwijderde berichten", "Prullenmand", "Kosz", "Elementy usunięte",
    "Usunięte", "Корзина", "Удаленные", "Удалённые", "Удаленные письма", "Видалені",
    "Видалені елементи", "Кошик", "ごみ箱", "ゴミ箱", "削除済みアイテム", "削除済み", "지운 편지함", "휴지통", "삭제된 항목",
    "삭제된 메시지함", "已删除邮件", "已删除", "已删除的邮件", "已刪除的郵件", "刪除的郵件", "垃圾桶", "废纸篓", "Silinmiş Öğeler",
    "Çöp", "Çöp kutusu", "Çöp Kutusu", "Silinenler", "Slettede elementer", "Slettede",
    "Slettet post", "Slettet", "Papirkurv", "Papperskorgen", "Papperskorg", "Borttagna objekt",
    "Borttaget", "Roskakori", "Poistetut", "Poistetut kohteet", "Koš", "Kôš", "Odstraněná pošta",
    "Odstraněné", "Odstránená pošta", "Odstránené položky", "Vymazané", "Törölt elemek",
    "Törölt", "Kuka", "Lomtár", "Elemente șterse", "Elemente şterse", "Șterse", "Coș de gunoi",
    "Διαγραμμένα", "Διαγραμμένα στοιχεία", "Κάδος", "Κάδος απορριμμάτων", "Изтрити",
    "Изтрити елементи", "Кошче", "Smeće", "Izbrisane stavke", "Izbrisano", "Obrisane stavke",
    "Избрисане ставке", "Šiukšlės", "Ištrinti elementai", "Izdzēstie", "Izdzēstie vienumi",
    "Kustutatud", "Kustutatud üksused", "Prügi", "פריטים שנמחקו", "אשפה", "العناصر المحذوفة",
    "المحذوفات", "سلة المهملات", "รายการที่ถูกลบ", "ถังขยะ", "Thùng rác", "Mục đã Xóa",
    "Item Terhapus", "Elements suprimits", "Paperera", "Zakarrontzia", "Eydd atriði",
    "हटाए गए आइटम",
    NULL,
};

static const char *const junk[] = {
    "Junk Email", "Junk", "Spam", "Junk E-mail", "Junk-E-Mail", "Junk Mail", "Bulk Mail", "Bulk",
    "Junkmail", "Probably Spam", "Unerwünscht", "Unerwünschte Werbung", "Spamverdacht",
    "Spam-Mail", "Courrier indésirable", "Indésirables", "Indésirable", "Pourriel", "Pourriels",
    "Correo no deseado", "Correo basura", "No deseado", "Lixo Eletrônico", "Lixo Eletrónico",
    "Lixo eletrónico", "Lixo electrónico", "Correio eletrônico não solicitado", "E-mail de lixo",
    "Posta indesiderata", "Indesiderata", "Ongewenste e-mail", "Ongewenst", "Ongewenste mail",
    "Wiadomości-śmieci", "Niechciane", "Wiadomości śmieci", "Нежелательная почта", "Спам",
    "Небажана пошта", "迷惑メール", "迷惑メールフォルダー", "정크 메일", "스팸", "스팸메일함", "스팸 메일함", "垃圾邮件", "垃圾郵件",
    "垃圾信件", "Önemsiz E-posta", "Önemsiz", "Gereksiz E-posta", "Gereksiz", "İstenmeyen",
    "Søppelpost", "Søppel-e-post", "Uønsket e-post", "Uønsket mail", "Uønsket", "Skräppost",
    "Skräp", "Roskaposti", "Roskapostit", "Nevyžádaná pošta", "Nevyžádané", "Levélszemét",
    "Ανεπιθύμητα", "Ανεπιθύμητη αλληλογραφία", "E-mail nedorit", "Mesaje nedorite",
    "Нежелана поща", "Нежелани", "Neželjena pošta", "Neželena e-pošta", "Vsiljena pošta",
    "Нежељена пошта", "Nepageidaujamas el. paštas", "Brukalas", "Mēstules", "Nevēlams e-pasts",
    "Rämpspost", "Rämps", "דואר זבל", "البريد العشوائي", "البريد غير الهام", "อีเมลขยะ",
    "จดหมายขยะ", "Thư rác", "Email Sampah", "Correu brossa", "Spama", "Ruslpóstur", "जंक ईमेल",
    NULL,
};

static const char *const archive[] = {
    "Archive", "Archives", "Archived", "Archiv", "Archivo", "Archivados", "Arquivo",
    "Arquivo morto", "Arquivar", "Archivio", "Archief", "Archiwum", "Архив", "Архів", "アーカイブ",
    "보관", "보관함", "存档", "封存", "归档", "封存郵件", "Arşiv", "Arkiv", "Arkisto", "Archív", "Archívum",
    "Αρχειοθήκη", "Αρχείο", "Arhivă", "Arhiva", "Arhiv", "Архива", "Archyvas", "Arhīvs",
    "Arhiiv", "ארכיון", "أرشيف", "الأرشيف", "เก็บถาวร", "Lưu trữ", "Arsip", "Arxiu",
    NULL,
};

static const char *const all[] = {
    "All Mail", "All mail", "Alle Nachrichten", "Alle E-Mails", "Tous les messages", "Todos",
    "Todos los mensajes", "Todo o correio", "Todos os e-mails", "Tutti i messaggi",
    "Alle berichten", "Alle e-mail", "Wszystkie", "Вся почта", "Уся пошта", "すべてのメール", "전체보관함",
    "전체 보관함", "所有邮件", "所有郵件", "Tüm Postalar", "All e-post", "All post", "Alla mejl", "Alla mail",
    "Kaikki viestit", "Všechny zprávy", "Všetky správy", "Összes levél", "Όλα τα μηνύματα",
    "Toate mesajele", "Цялата поща", "Sva pošta", "Vsa pošta", "Visi laiškai", "Visas vēstules",
    "Kõik kirjad", "כל הדואר", "كل البريد", "จดหมายทั้งหมด", "Tất cả thư", "Semua Email",
    "Tot el correu",
    NULL,
};

static const char *const flagged[] = {
    "Starred", "Flagged", "Markiert", "Gekennzeichnet", "Suivis", "Messages suivis", "Favoris",
    "Destacados", "Com estrela", "Speciali", "Met ster", "Oznaczone gwiazdką", "Помеченные",
    "Із зірочкою", "スター付き", "별표편지함", "已加星标", "已加星號", "Yıldızlı", "Stjernemerket",
    "Stjernemarkeret", "Stjärnmärkt", "Stjärnmärkta", "Tähdellä merkityt", "S hvězdičkou",
    "S hviezdičkou", "Csillagozott", "Με αστέρι", "Cu steag", "Cu stea", "Със звезда",
    "Sa zvjezdicom", "Z zvezdico", "מסומן בכוכב", "מסומנים בכוכב", "مميزة بنجمة", "ที่ติดดาว",
    "Có gắn dấu sao", "Berbintang", "Destacats",
    NULL,
};

static const char *const important[] = {
    "Important", "Wichtig", "Importants", "Importantes", "Importante", "Importanti",
    "Belangrijk", "Ważne", "Важное", "Важливо", "重要", "중요", "중요편지함", "重要邮件", "Önemli", "Viktig",
    "Viktigt", "Vigtigt", "Tärkeät", "Důležité", "Dôležité", "Fontos", "Σημαντικά", "Важно",
    "Važno", "Pomembno", "חשוב", "مهم", "สำคัญ", "Quan trọng", "Penting",
    NULL,
};

static const char *const calendar[] = {
    "Calendar", "Kalender", "Calendrier", "Calendario", "Calendário", "Agenda", "Kalendarz",
    "Календарь", "Календар", "予定表", "일정", "日历", "行事曆", "Takvim", "Kalenteri", "Kalendář",
    "Kalendár", "Naptár", "Ημερολόγιο", "Kalendar", "Koledar", "Kalendorius", "Kalendārs",
    "יומן", "לוח שנה", "التقويم", "ปฏิทิน", "Lịch",
    NULL,
};

static const char *const contacts[] = {
    "Contacts", "Kontakte", "Contactos", "Contatos", "Contatti", "Contactpersonen", "Kontakty",
    "Контакты", "Контакти", "連絡先", "연락처", "联系人", "連絡人", "Kişiler", "Kontakter",
    "Kontaktpersoner", "Yhteystiedot", "Névjegyalbum", "Partnerek", "Επαφές", "Contacte",
    "Kontakti", "Stiki", "Adresaty", "אנשי קשר", "جهات الاتصال", "ที่ติดต่อ", "Liên hệ",
    NULL,
};

static const char *const journal[] = {
    "Journal", "Diario", "Diário", "Logboek", "Dagboek", "Dziennik", "Дневник", "Журнал", "履歴",
    "업무 일지", "日记", "日誌", "Günlük", "Dagbok", "Päiväkirja", "Deník", "Denník", "Napló", "Χρονικό",
    "Jurnal", "Dnevnik", "دفتر اليومية",
    NULL,
};

static const char *const notes[] = {
    "Notes", "Notizen", "Notas", "Anotações", "Note", "Notities", "Notatki", "Заметки",
    "Нотатки", "メモ", "메모", "便笺", "記事", "Notlar", "Notater", "Noter", "Anteckningar",
    "Muistiinpanot", "Poznámky", "Feljegyzések", "Jegyzetek", "Σημειώσεις", "Notițe", "Bilješke",
    "Opombe", "פתקים", "הערות", "الملاحظات", "บันทึกย่อ", "Ghi chú",
    NULL,
};

static const char *const tasks[] = {
    "Tasks", "Aufgaben", "Tâches", "Tareas", "Tarefas", "Attività", "Taken", "Zadania", "Задачи",
    "Завдання", "タスク", "仕事", "작업", "任务", "工作", "Görevler", "Oppgaver", "Opgaver", "Uppgifter",
    "Tehtävät", "Úkoly", "Úlohy", "Feladatok", "Εργασίες", "Activități", "Zadaci", "Opravila",
    "משימות", "المهام", "งาน", "Tác vụ",
    NULL,
};

static const char *const outbox[] = {
    "Outbox", "Postausgang", "Boîte d'envoi", "Bandeja de salida", "Caixa de saída", "A enviar",
    "Posta in uscita", "Postvak UIT", "Skrzynka nadawcza", "Исходящие", "Вихідні", "送信トレイ",
    "보낼 편지함", "发件箱", "寄件匣", "Giden Kutusu", "Utboks", "Udbakke", "Utkorgen", "Utkorg",
    "Lähtevät", "Pošta k odeslání", "Pošta na odoslanie", "Postázandó üzenetek", "Εξερχόμενα",
    "Mesaje de expediat", "Izlazna pošta", "Odpošiljanje", "דואר יוצא", "علبة الصادر",
    "กล่องขาออก", "Hộp thư đi",
    NULL,
};

static const char *const files[] = {
    "Files", "Dateien", "Fichiers", "Archivos", "Arquivos", "Bestanden", "Pliki", "Файлы",
    "ファイル", "파일", "文件",
    NULL,
};

static const char *const kept[] = {
    "Sync Issues", "Synchronisierungsprobleme", "Problèmes de synchronisation",
    "Problemas de sincronización", "Problemas de Sincronização", "Problemi di sincronizzazione",
    "Synchronisatieproblemen", "Problemy z synchronizacją", "Ошибки синхронизации", "同期の失敗",
    "동기화 문제", "同步问题", "同步處理問題", "Conversation History", "Aufgezeichnete Unterhaltungen",
    "Unterhaltungsverlauf", "Historique des conversations", "Historial de conversaciones",
    "Histórico de Conversas", "Cronologia conversazioni", "Gespreksgeschiedenis",
    "Historia konwersacji", "История беседы", "会話の履歴", "대화 내용", "对话历史记录", "交談記錄",
    "Conversation Action Settings", "Quick Step Settings", "RSS Feeds", "RSS Subscriptions",
    "RSS-Feeds", "RSS-Abonnements", "Flux RSS", "Fuentes RSS", "Feed RSS", "RSS フィード", "RSS 피드",
    "RSS 源", "Suggested Contacts", "Social Activity Notifications", "Yammer Root",
    "ExternalContacts", "Working Set", "Recoverable Items",
    NULL,
};

/* clang-format on */

const struct roles_words roles_words[ROLES_COUNT] = {
    [ROLE_INBOX] = { "inbox", NULL },
    [ROLE_SENT] = { "sent", sent },
    [ROLE_DRAFTS] = { "drafts", drafts },
    [ROLE_TRASH] = { "trash", trash },
    [ROLE_JUNK] = { "junk", junk },
    [ROLE_ARCHIVE] = { "archive", archive },
    [ROLE_ALL] = { "all", all },
    [ROLE_FLAGGED] = { "flagged", flagged },
    [ROLE_IMPORTANT] = { "important", important },
    [ROLE_CALENDAR] = { "calendar", calendar },
    [ROLE_CONTACTS] = { "contacts", contacts },
    [ROLE_JOURNAL] = { "journal", journal },
    [ROLE_NOTES] = { "notes", notes },
    [ROLE_TASKS] = { "tasks", tasks },
    [ROLE_OUTBOX] = { "outbox", outbox },
    [ROLE_FILES] = { "files", files },
    [ROLE_KEPT] = { "kept", kept },
};
