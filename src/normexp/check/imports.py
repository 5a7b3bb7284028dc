"""Imports: of other files of the project, and of libraries."""

from __future__ import annotations

import ast

from normexp.check.calls import Calls
from normexp.check.libraries import registry
from normexp.check.project import Project
from normexp.check.scope import Home, Scope
from normexp.check.source import Source
from normexp.check.terms import term
from normexp.check.values import Library, ModuleValue, Tensor, Value


class Imports(Calls):
    """Brings names of files and libraries in."""

    _project: Project

    def _module(self, source: Source) -> Scope:
        """Give the names of a file."""
        raise NotImplementedError

    def bring_in(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:  # noqa: D102
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._import_module(alias, scope)
            return
        source = self._project.find(scope.home.source, node.module or "", node.level)
        home = scope.home
        if source is None and not node.level and node.module:
            home.roots.add(node.module.partition(".")[0])
        for alias in node.names:
            if alias.name == "*":
                if source is not None:
                    home.stars.append(self._module(source))
                elif node.module:
                    home.stars.append(registry.canonical(node.module + ".").rstrip("."))
                continue
            self.memory.bind(scope.names, alias.asname or alias.name, self._from(node, alias.name, source, scope))

    def _from(self, node: ast.ImportFrom, name: str, source: Source | None, scope: Scope) -> Value:
        if source is not None:
            module = self._module(source)
            if name in module.names:
                return module.names[name]
        inner = f"{node.module}.{name}" if node.module else name
        found = self._project.find(scope.home.source, inner, node.level)
        if found is not None:
            return ModuleValue(self._module(found))
        if source is not None:
            return self.look_up(name, self._module(source))
        if node.level:
            return Tensor(term=term("import", node.level, inner))
        return Library(registry.canonical(inner))

    def _import_module(self, alias: ast.alias, scope: Scope) -> None:
        source = self._project.find(scope.home.source, alias.name, 0)
        top = alias.name.partition(".")[0]
        if source is None:
            scope.home.roots.add(top)
        if alias.asname is not None:
            value: Value = (
                Library(registry.canonical(alias.name)) if source is None else ModuleValue(self._module(source))
            )
            self.memory.bind(scope.names, alias.asname, value)
            return
        if source is None or source is self._project.find(scope.home.source, top, 0):
            value = Library(top) if source is None else ModuleValue(self._module(source))
            self.memory.bind(scope.names, top, value)
            return
        # import a.b.c: the name a, with b in it, and c in that.
        package = self._project.find(scope.home.source, top, 0)
        outer = self._module(package) if package is not None else Scope(Home(scope.home.source))
        self.memory.bind(scope.names, top, ModuleValue(outer))
        parts = alias.name.split(".")
        for count in range(2, len(parts) + 1):
            found = self._project.find(scope.home.source, ".".join(parts[:count]), 0)
            inner = self._module(found) if found is not None else Scope(Home(scope.home.source))
            outer.names[parts[count - 1]] = ModuleValue(inner)
            outer = inner
