"""Codes 400-599: opening, closing, access, disabled parts, bypasses.

`code|English|Chinese[|restore or closing in English|in Chinese]`: with opening and closing a NEW is
the disarming and a RESTORE the arming (protocols.md 1.3).
"""

TABLE = """
400|Disarmed|已撤防|Armed|已布防
401|Disarmed by a user|用户撤防|Armed by a user|用户布防
402|Group of areas disarmed|组撤防|Group of areas armed|组布防
403|Disarmed automatically|自动撤防|Armed automatically|自动布防
404|Disarmed late|延迟撤防|Armed late|延迟布防
405|Disarming deferred|推迟撤防|Arming deferred|推迟布防
406|Alarm cancelled by a user|用户取消报警
407|Disarmed remotely|远程撤防|Armed remotely|远程布防
408|Disarmed by quick key|快捷撤防|Armed by quick key|快捷布防
409|Disarmed by key switch|钥匙开关撤防|Armed by key switch|钥匙开关布防
411|Call-back asked for|请求回拨
412|Remote access succeeded|远程访问成功
413|Remote access failed|远程访问失败
414|Order to shut the system down|收到系统停用命令
415|Order to shut the dialler down|收到拨号器停用命令
416|Upload of the configuration succeeded|配置上传成功
421|Access denied|门禁拒绝进入
422|Access by a user|用户门禁进入
423|Door forced|门被强行打开
424|Way out denied|门禁拒绝外出
425|Way out granted|门禁允许外出
426|Door held open|门未关（超时）
427|Door contact trouble|门磁状态异常
428|Exit button trouble|出门按钮异常
429|Access programming begun|进入门禁编程
430|Access programming ended|退出门禁编程
431|Access threat level changed|门禁威胁等级变更
432|Access relay failed|门禁继电器故障
433|Exit button switched off|出门按钮被旁路
434|Door contact switched off|门磁被旁路
435|Second person entered (two-person rule)|第二人进入（双人规则）
436|Irregular access|异常门禁进入
441|Disarmed from stay mode|留守撤防|Armed in stay mode|留守布防
442|Disarmed from stay by key switch|钥匙开关留守撤防|Armed in stay by key switch|钥匙开关留守布防
443|Disarmed, trouble overridden|故障强制撤防|Armed in spite of a trouble|带故障强制布防
444|Disarmed from night mode|夜间撤防|Armed in night mode|夜间布防
450|Disarmed outside the schedule|计划外撤防|Armed outside the schedule|计划外布防
451|Disarmed too early|提前撤防|Armed too early|提前布防
452|Disarmed too late|迟到撤防|Armed too late|迟到布防
453|Not disarmed by the set time|未按时撤防
454|Not armed by the set time|未按时布防
455|Automatic arming failed|自动布防失败
456|Only part armed|部分撤防|Only part armed|部分布防
457|Mistake when leaving|外出错误
458|A user is on the premises|用户在现场
459|Armed only just before|刚刚布防
461|Wrong code entered|密码错误
462|Valid code entered|密码正确
463|Armed again after an alarm|报警后重新布防
464|Automatic arming put off|自动布防已延后
465|Panic alarm reset|紧急报警复位
466|Service person arrived|维修人员到场|Service person left|维修人员离场
501|Card reader disabled|读卡器停用|Card reader enabled|读卡器启用
520|Sounder or relay disabled|警号或继电器停用|Sounder or relay enabled|警号或继电器启用
521|Sounder 1 disabled|警号 1 停用|Sounder 1 enabled|警号 1 启用
522|Sounder 2 disabled|警号 2 停用|Sounder 2 enabled|警号 2 启用
523|Alarm relay disabled|报警继电器停用|Alarm relay enabled|报警继电器启用
524|Trouble relay disabled|故障继电器停用|Trouble relay enabled|故障继电器启用
525|Line-reversing relay disabled|线路反转继电器停用|Line-reversing relay enabled|线路反转继电器启用
526|Sounder 3 disabled|警号 3 停用|Sounder 3 enabled|警号 3 启用
527|Sounder 4 disabled|警号 4 停用|Sounder 4 enabled|警号 4 启用
531|Module added|模块已添加
532|Module removed|模块已移除
551|Dialler disabled|拨号器停用|Dialler enabled|拨号器启用
552|Radio transmitter disabled|无线发射器停用|Radio transmitter enabled|无线发射器启用
553|Remote programming disabled|远程编程停用|Remote programming enabled|远程编程启用
554|Fibre converter fault|光纤转换器故障
555|Fibre network fault|光纤网络故障
570|Zone bypassed|防区旁路|Zone bypass ended|防区旁路解除
571|Fire zone bypassed|火警防区旁路|Fire zone bypass ended|火警防区旁路解除
572|24-hour zone bypassed|24 小时防区旁路|24-hour zone bypass ended|24 小时防区旁路解除
573|Burglary zone bypassed|盗窃防区旁路|Burglary zone bypass ended|盗窃防区旁路解除
574|Group of zones bypassed|组旁路|Group bypass ended|组旁路解除
575|Zone bypassed for too many alarms|报警过多自动旁路|That bypass ended|自动旁路解除
576|Access zone shunted|门禁防区屏蔽|Access zone shunt ended|门禁防区屏蔽解除
577|Access point bypassed, door open|门禁点旁路（门常开）|Access point bypass ended|门禁点旁路解除
578|Vault zone bypassed|金库防区旁路|Vault zone bypass ended|金库防区旁路解除
579|Vent zone bypassed|通风口防区旁路|Vent zone bypass ended|通风口防区旁路解除
"""
