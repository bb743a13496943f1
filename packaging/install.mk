# What `make install` puts where: the Makefile of the project includes this, and a release's tarball has it as its own.
#
#   make install                               into /usr/local, with a release's binaries
#   make install PREFIX=/usr DESTDIR=/tmp/root   for a package

PREFIX ?= /usr/local
BUILT ?= .
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
DOC = $(SHARE)/doc/kvx
MAN1 = $(SHARE)/man/man1
MAN7 = $(SHARE)/man/man7
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
# fish looks into /usr/local/share only where XDG_DATA_DIRS names it; otherwise: FISH_COMPLETIONS='$(DESTDIR)/etc/fish/completions'.
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d
# For Debian's own packages: vendor-completions.
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
# systemd looks into /usr/local/lib, too. The same units are among the examples, to be copied and changed.
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system

PROGRAMS = kvx kvx-in kvx-out
UNIT_FILES = $(wildcard examples/kvx-*@.*)
SCRIPTS = examples/kvx-hosts examples/pipeline.sh
TEXTS = README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE $(wildcard THIRD-PARTY.txt sbom.cdx.json)

install: ## put what was built into PREFIX (/usr/local) under DESTDIR; needs no cargo
	@for program in $(PROGRAMS); do test -x $(BUILT)/$$program || \
		{ echo "make install: no $(BUILT)/$$program: run \`make\` first, as yourself" >&2; exit 1; }; done
	install -d $(BIN) $(MAN1) $(MAN7) $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS) $(UNITS) $(DOC)/examples
	install -m 755 $(addprefix $(BUILT)/,$(PROGRAMS)) $(BIN)
	install -m 644 $(wildcard man/*.1) $(MAN1)
	install -m 644 $(wildcard man/*.7) $(MAN7)
	install -m 644 completions/kvx.bash $(BASH_COMPLETIONS)/kvx
	install -m 644 completions/_kvx $(ZSH_COMPLETIONS)/_kvx
	install -m 644 completions/kvx.fish $(FISH_COMPLETIONS)/kvx.fish
	@# Both shells look for a file of the command's own name.
	for program in kvx-in kvx-out; do ln -sf kvx $(BASH_COMPLETIONS)/$$program && \
		ln -sf kvx.fish $(FISH_COMPLETIONS)/$$program.fish || exit; done
	install -m 644 $(UNIT_FILES) $(UNITS)
	install -m 644 $(TEXTS) $(DOC)
	find docs -type f -exec install -D -m 644 {} $(DOC)/{} \;
	install -m 644 $(filter-out $(SCRIPTS),$(wildcard examples/*)) $(DOC)/examples
	install -m 755 $(SCRIPTS) $(DOC)/examples

uninstall: ## take that away again; what is remembered of files, in /var/lib/kvx, stays
	rm -f $(addprefix $(BIN)/,$(PROGRAMS)) $(addprefix $(UNITS)/,$(notdir $(UNIT_FILES))) $(ZSH_COMPLETIONS)/_kvx
	rm -f $(addprefix $(MAN1)/,$(notdir $(wildcard man/*.1))) $(addprefix $(MAN7)/,$(notdir $(wildcard man/*.7)))
	rm -f $(addprefix $(BASH_COMPLETIONS)/,$(PROGRAMS)) $(addprefix $(FISH_COMPLETIONS)/,$(addsuffix .fish,$(PROGRAMS)))
	rm -rf $(DOC)

.PHONY: install uninstall
