#include "engine/cli/do_folders.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/sandbox.h"
#include "engine/inspect/tree.h"
#include "engine/report/format.h"
#include "io/stream.h"

#include <jansson.h>
#include <stdlib.h>

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static json_t *problems_of(const struct tree *tree, unsigned folder)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < tree->problem_count; i++)
        if (tree->problems[i].folder == folder)
            json_array_append_new(all, json_pack("{s:s,s:s,s:s}", "type", tree->problems[i].type, "text",
                                                 tree->problems[i].text, "remedy", tree->problems[i].remedy));
    return all;
}

static void print_json(const struct settings_user *user, const struct tree *tree)
{
    json_t *folders = json_array(), *all;

    for (unsigned i = 0; i < tree->count; i++) {
        const struct tree_folder *f = &tree->folders[i];

        json_array_append_new(folders,
                              json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:b,s:o}", "source", text_of(f->names.name),
                                        "target", text_of(f->names.target_name), "role", f->names.role, "messages",
                                        (json_int_t)f->messages, "bytes", (json_int_t)f->bytes, "largest",
                                        (json_int_t)f->largest_bytes, "selectable", f->names.selectable, "excluded",
                                        f->names.excluded, "problems", problems_of(tree, i)));
    }
    all = json_pack("{s:s,s:s,s:b,s:o}", "schema", "mailhaul.folders.v1", "user", user->email_address, "target_known",
                    tree->target_known, "folders", folders);
    json_out(all);
}

/* Names and texts are a server's. */
struct shown_name {
    char text[4200];
};

static struct shown_name shown(const char *text)
{
    struct shown_name name;

    err_printable(name.text, sizeof name.text, text_of(text), strlen(text_of(text)));
    return name;
}

static void print_text(const struct settings_user *user, const struct tree *tree)
{
    uint64_t messages = 0, bytes = 0;

    printf("%s\n  %9s %10s %10s  %-9s %s\n", user->email_address, "messages", "size", "largest", "role",
           "folder -> on the target");
    for (unsigned i = 0; i < tree->count; i++) {
        const struct tree_folder *f = &tree->folders[i];

        messages += f->messages;
        bytes += f->bytes;
        printf("  %9s %10s %10s  %-9s %s -> %s\n", format_count(f->messages).text, format_bytes(f->bytes).text,
               format_bytes(f->largest_bytes).text, f->names.role, shown(f->names.name).text,
               !f->names.selectable ? "not moved"
               : f->names.excluded  ? "excluded by policy"
                                    : shown(f->names.target_name).text);
        for (unsigned k = 0; k < tree->problem_count; k++)
            if (tree->problems[k].folder == i)
                printf("            %s: %s\n            do: %s\n", tree->problems[k].type,
                       shown(tree->problems[k].text).text, tree->problems[k].remedy);
    }
    printf("  %9s %10s  in %u folder%s\n", format_count(messages).text, format_bytes(bytes).text, tree->count,
           format_s(tree->count));
}

static int show(const struct opts *o, const struct visit_house *house, const struct settings_user *user)
{
    bool with_target = settings_reaches_target(house->settings, user);
    struct tree tree;
    char type[TREE_TYPE_BYTES];
    struct err err;
    char line[512];
    int code = EXIT_DONE;

    if (!tree_read(house, user, with_target, &tree, type, &err)) {
        code = complain_of_server(user->email_address, type, user->email_address, &err);
    } else {
        if (o->json)
            print_json(user, &tree);
        else
            print_text(user, &tree);
        if (!tree.target_known && !o->quiet)
            fprintf(stderr,
                    "mailhaul: %s: the target's folders are not known%s%s; names are as for an "
                    "empty mailbox\n",
                    user->email_address, with_target ? ": " : " (no password for it)",
                    with_target ? err_line(&tree.target_err, line, sizeof line) : "");
    }
    tree_deinit(&tree);
    return code;
}

int do_folders(const struct opts *o, const struct settings *settings)
{
    struct visit_house house;
    struct err err;
    int code = EXIT_DONE;

    sandbox(o, settings, NULL);
    stream_resolver_start();
    if (!visit_house_open(&house, settings, &err)) {
        code = complain(&err, EXIT_BATCH_FILE);
    } else {
        /* One user unless --user names others: the tree is for a person to look at. */
        for (size_t i = 0; i < settings->user_count && (i == 0 || settings_names_users(settings)); i++) {
            int one = show(o, &house, &settings->users[i]);

            if (one != EXIT_DONE)
                code = one;
        }
        if (!settings_names_users(settings) && settings->user_count > 1 && !o->quiet)
            fprintf(stderr, "mailhaul: this is %s, the first of %zu users; --user U shows another, also several\n",
                    settings->users[0].email_address, settings->user_count);
    }
    visit_house_close(&house);
    stream_resolver_stop();
    return code;
}
