/* Writes shell completions out of the tables that the program itself goes by: tables bash|zsh|fish.
 * Run when mailhaul is built, so that no completion can be of another version.
 */
#include "engine/cli/opts.h"
#include "engine/config/table.h"

#include <stdio.h>
#include <string.h>

struct option {
    const char *name, *value_name, *help;
};
static struct option options[64];
static unsigned option_count;
static const char *command_names[OPTS_COMMAND_COUNT], *command_helps[OPTS_COMMAND_COUNT];
static unsigned command_count;

static void take_command(void *context, const char *name, const char *help)
{
    (void)context;
    command_names[command_count] = name;
    command_helps[command_count++] = help;
}

static void take_option(void *context, const char *name, const char *value_name, const char *help)
{
    (void)context;
    if (option_count < sizeof options / sizeof *options)
        options[option_count++] = (struct option){ name, value_name, help };
}

/* "auto|always|never": the words; else NULL. */
static const char *words_of(const struct option *o)
{
    return o->value_name && strchr(o->value_name, '|') ? o->value_name : NULL;
}

static bool is_file(const struct option *o)
{
    return o->value_name && strcmp(o->value_name, "FILE") == 0;
}

static bool is_folder(const struct option *o)
{
    return o->value_name && strcmp(o->value_name, "DIR") == 0;
}

/* text without what a quoted word of any of the shells could end by. */
static void tame(const char *text, const char *but)
{
    for (; *text; text++)
        if (!strchr(but, *text))
            putchar(*text);
}

static void words(const char *list)
{
    for (; *list; list++)
        putchar(*list == '|' ? ' ' : *list);
}

static void keys(void)
{
    static const enum config_section sections[] = { CONFIG_BATCH, CONFIG_SOURCE, CONFIG_TARGET, CONFIG_POLICY };

    for (unsigned s = 0; s < sizeof sections / sizeof *sections; s++)
        for (unsigned i = 0; i < config_key_count(); i++)
            if (config_keys[i].sections & 1u << sections[s])
                printf(" %s.%s=", config_section_name(sections[s]), config_keys[i].name);
}

static void options_of(unsigned command)
{
    for (unsigned i = 0; i < option_count; i++)
        if (opts_takes((enum opts_command)command, options[i].name))
            printf(" --%s", options[i].name);
}

static void bash(void)
{
    puts("# bash completion for mailhaul; made from the program's own tables\n_mailhaul()\n{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word\n"
         "    COMPREPLY=()\n"
         "    # --option=value is three words to bash.\n"
         "    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then "
         "prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $word in");
    fputs("        ", stdout);
    for (unsigned c = 0; c < command_count; c++)
        printf("%s%s", c ? "|" : "", command_names[c]);
    puts(") command=$word; break ;;\n        esac\n    done\n    case $prev in");
    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        if (!o->value_name)
            continue;
        printf("    --%s) ", o->name);
        if (words_of(o)) {
            fputs("COMPREPLY=($(compgen -W '", stdout);
            words(words_of(o));
            fputs("' -- \"$cur\"))", stdout);
        } else if (strcmp(o->name, "set") == 0) {
            fputs("compopt -o nospace; COMPREPLY=($(compgen -W '", stdout);
            keys();
            fputs("' -- \"$cur\"))", stdout);
        } else if (is_file(o) || is_folder(o)) {
            printf("compopt -o filenames; COMPREPLY=($(compgen -%c -- \"$cur\"))", is_file(o) ? 'f' : 'd');
        } else {
            fputs(":", stdout);
        }
        puts("; return ;;");
    }
    puts("    esac\n    if [[ -z $command ]]; then");
    fputs("        COMPREPLY=($(compgen -W '", stdout);
    for (unsigned c = 0; c < command_count; c++)
        printf("%s ", command_names[c]);
    puts("--help --version' -- \"$cur\"))\n        return\n    fi\n    if [[ $cur == -* ]]; then\n "
         "       case $command in");
    for (unsigned c = 0; c < command_count; c++) {
        printf("        %s) COMPREPLY=($(compgen -W '", command_names[c]);
        options_of(c);
        puts("' -- \"$cur\")) ;;");
    }
    puts("        esac\n    else\n        compopt -o filenames\n"
         "        COMPREPLY=($(compgen -d -- \"$cur\") $(compgen -f -X '!*.@(ini|json)' -- "
         "\"$cur\"))\n    fi\n}\n"
         "shopt -s extglob\ncomplete -F _mailhaul mailhaul");
}

static void zsh_option(const struct option *o)
{
    printf("            '--%s%s[", o->name, o->value_name ? "=" : "");
    tame(o->help, "'[]:");
    fputs("]", stdout);
    if (o->value_name) {
        putchar(':');
        tame(o->value_name, "'[]:|");
        putchar(':');
        if (words_of(o)) {
            putchar('(');
            words(words_of(o));
            putchar(')');
        } else if (is_file(o)) {
            fputs("_files", stdout);
        } else if (is_folder(o)) {
            fputs("_files -/", stdout);
        } else if (strcmp(o->name, "set") == 0) {
            fputs("(", stdout);
            keys();
            fputs(")", stdout);
        }
    }
    puts("' \\");
}

static void zsh(void)
{
    puts("#compdef mailhaul\n# zsh completion for mailhaul; made from the program's own "
         "tables\n_mailhaul() {\n"
         "    local -a commands\n    commands=(");
    for (unsigned c = 0; c < command_count; c++) {
        printf("        '%s:", command_names[c]);
        tame(command_helps[c], "':");
        puts("'");
    }
    puts("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        "
         "return\n    fi\n"
         "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in");
    for (unsigned c = 0; c < command_count; c++) {
        printf("    %s)\n        _arguments -S \\\n", command_names[c]);
        for (unsigned i = 0; i < option_count; i++)
            if (opts_takes((enum opts_command)c, options[i].name))
                zsh_option(&options[i]);
        puts("            '*:batch file:_files -g \"*.(ini|json)(-.)\"' ;;");
    }
    puts("    esac\n}\n_mailhaul \"$@\"");
}

static void fish(void)
{
    puts("# fish completion for mailhaul; made from the program's own tables");
    for (unsigned c = 0; c < command_count; c++) {
        printf("complete -c mailhaul -n __fish_use_subcommand -f -a %s -d '", command_names[c]);
        tame(command_helps[c], "'\\");
        puts("'");
    }
    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        fputs("complete -c mailhaul -n '__fish_seen_subcommand_from", stdout);
        for (unsigned c = 0; c < command_count; c++)
            if (opts_takes((enum opts_command)c, o->name))
                printf(" %s", command_names[c]);
        printf("' -l %s", o->name);
        if (is_file(o) || is_folder(o)) {
            fputs(" -r -F", stdout);
        } else if (o->value_name) {
            fputs(" -x", stdout);
            if (words_of(o) || strcmp(o->name, "set") == 0) {
                fputs(" -a '", stdout);
                words_of(o) ? words(words_of(o)) : keys();
                fputs("'", stdout);
            }
        }
        fputs(" -d '", stdout);
        tame(o->help, "'\\");
        puts("'");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } forms[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

    opts_describe(take_command, take_option, NULL);
    for (unsigned i = 0; argc == 2 && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(argv[1], forms[i].name) == 0) {
            forms[i].write();
            return fflush(stdout) == 0 ? 0 : 1;
        }
    fputs("tables bash|zsh|fish\n", stderr);
    return 64;
}
